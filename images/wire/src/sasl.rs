//! SASL as POP3 uses it: base64 exchange (RFC 5034), PLAIN (RFC 4616), EXTERNAL (RFC 4422).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strum::{EnumString, IntoStaticStr};

use crate::secret::Secret;

/// The longest base64 line of an exchange without CRLF: PLAIN with three fields of 255 octets.
pub const MAX_LINE: usize = 1024;

/// The longest field of PLAIN: RFC 4616 section 2 asks for 255 octets and we take no more.
pub const MAX_FIELD: usize = 255;

/// The mechanisms that Buzonera knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub enum Mechanism {
    /// Login and password, from mail clients, only under TLS.
    Plain,
    /// Who the client is stands in its certificate; between proxy and shard.
    External,
}

impl Mechanism {
    /// Reads a mechanism's name in any case (RFC 4422 section 3.1).
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// The mechanism's registered name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What is wrong with the client's side of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client gave up with `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// Longer than any message of our mechanisms.
    #[error("response too long")]
    TooLong,
    /// Not canonical base64 with padding.
    #[error("response is not base64")]
    NotBase64,
    /// Decoded, but not a message of the mechanism.
    #[error("response is not a message of this mechanism")]
    Malformed,
}

/// Decodes an initial response of an AUTH command; `=` is an empty one (RFC 5034 section 4).
pub fn initial_response(text: &[u8]) -> Result<Secret, SaslError> {
    match text {
        b"=" => Ok(Secret::new(Vec::new())),
        b"" => Err(SaslError::NotBase64),
        _ => decode(text),
    }
}

/// Decodes a line that answers a challenge; `*` cancels (RFC 5034 section 4).
pub fn response(line: &[u8]) -> Result<Secret, SaslError> {
    match line {
        b"*" => Err(SaslError::Cancelled),
        _ => decode(line),
    }
}

fn decode(text: &[u8]) -> Result<Secret, SaslError> {
    if text.len() > MAX_LINE {
        return Err(SaslError::TooLong);
    }
    STANDARD
        .decode(text)
        .map(Secret::new)
        .map_err(|_| SaslError::NotBase64)
}

/// Encodes a message as an initial response; the inverse of [`initial_response`].
pub fn encode(message: &[u8]) -> String {
    if message.is_empty() {
        return "=".to_owned();
    }
    STANDARD.encode(message)
}

/// A message of PLAIN: `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Whom to act as; none is the usual case.
    pub authzid: Option<String>,
    /// Who logs in.
    pub authcid: String,
    /// The password, UTF-8.
    pub password: Secret,
}

impl Plain {
    /// Reads a decoded message.
    pub fn parse(message: &[u8]) -> Result<Self, SaslError> {
        let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed)?;
        let mut fields = text.split('\0');
        let (Some(authzid), Some(authcid), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SaslError::Malformed);
        };
        if [authzid, authcid, password]
            .iter()
            .any(|field| field.len() > MAX_FIELD)
        {
            return Err(SaslError::TooLong);
        }
        if authcid.is_empty() || password.is_empty() {
            return Err(SaslError::Malformed);
        }
        Ok(Self {
            authzid: Some(authzid).filter(|id| !id.is_empty()).map(str::to_owned),
            authcid: authcid.to_owned(),
            password: Secret::new(password),
        })
    }

    /// Prints the message; the inverse of [`Plain::parse`].
    pub fn to_message(&self) -> Secret {
        let authzid = self.authzid.as_deref().unwrap_or_default();
        let parts = [
            authzid.as_bytes(),
            self.authcid.as_bytes(),
            self.password.expose(),
        ];
        Secret::new(parts.join(&0))
    }

    /// Whether the client asks to act as somebody else, which nobody may.
    pub fn acts_for_another(&self) -> bool {
        self.authzid
            .as_ref()
            .is_some_and(|authzid| *authzid != self.authcid)
    }
}

/// Reads a message of EXTERNAL: an authorization identity, UTF-8 without NUL (RFC 4422 A.1).
pub fn external(message: &[u8]) -> Result<&str, SaslError> {
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed)?;
    if text.contains('\0') {
        return Err(SaslError::Malformed);
    }
    Ok(text)
}

/// Feeds any octets to every parser; what is accepted must print as it was.
pub fn fuzz(data: &[u8]) {
    if let Ok(message) = initial_response(data) {
        assert_eq!(encode(message.expose()).as_bytes(), data);
        fuzz_message(message.expose());
    }
    // A failed or cancelled line only has to be refused without harm.
    drop(response(data));
    fuzz_message(data);
}

fn fuzz_message(message: &[u8]) {
    if let Ok(plain) = Plain::parse(message) {
        assert_eq!(plain.to_message().expose(), message);
    }
    if let Ok(text) = external(message) {
        assert_eq!(text.as_bytes(), message);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_of_rfc_4616() {
        let tim = Plain::parse(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!(
            (tim.authzid.as_deref(), tim.authcid.as_str()),
            (None, "tim")
        );
        assert_eq!(tim.password.expose(), b"tanstaaftanstaaf");
        assert!(!tim.acts_for_another());
        let kurt = Plain::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert!(kurt.acts_for_another());
        assert!(!Plain::parse(b"Kurt\0Kurt\0x").unwrap().acts_for_another());
    }

    #[test]
    fn plain_refuses_other_forms() {
        let long = "a".repeat(MAX_FIELD + 1);
        for bad in [
            &b""[..],
            b"tim",
            b"tim\0secret",
            b"\0\0secret",
            b"\0tim\0",
            b"\0tim\0secret\0",
            b"\0tim\0\xff",
            format!("\0tim\0{long}").as_bytes(),
            format!("{long}\0tim\0x").as_bytes(),
        ] {
            assert!(Plain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_plain_fits_in_a_line() {
        let field = "a".repeat(MAX_FIELD);
        let message = format!("{field}\0{field}\0{field}");
        assert_eq!(encode(message.as_bytes()).len(), MAX_LINE);
        assert!(response(encode(message.as_bytes()).as_bytes()).is_ok());
        assert_eq!(response(&[b'A'; MAX_LINE + 4]), Err(SaslError::TooLong));
    }

    #[test]
    fn base64_is_exact() {
        // RFC 5034 section 6: the example of PLAIN.
        let decoded = initial_response(b"dGVzdAB0ZXN0AHRlc3Q=").unwrap();
        assert_eq!(decoded.expose(), b"test\0test\0test");
        assert_eq!(initial_response(b"=").unwrap().expose(), b"");
        assert_eq!(response(b"").unwrap().expose(), b"");
        assert_eq!(response(b"*"), Err(SaslError::Cancelled));
        for bad in ["dGVzdA", "dGVzdB==", "dGVz dA==", "*x", "="] {
            assert_eq!(response(bad.as_bytes()), Err(SaslError::NotBase64), "{bad}");
        }
    }

    #[test]
    fn mechanisms_by_name() {
        assert_eq!(Mechanism::parse("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::parse("EXTERNAL"), Some(Mechanism::External));
        assert_eq!(Mechanism::parse("LOGIN"), None);
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_plain(data in "[a-zé]{0,4}\0[a-z]{0,4}\0?[a-z ]{0,4}") {
            fuzz(data.as_bytes());
            fuzz(encode(data.as_bytes()).as_bytes());
        }
    }
}
