//! What a proxy tells a shard about the client it brings: the authorization identity of SASL
//! EXTERNAL.
//!
//! ```text
//! account=UUID;epoch=N;client=IP:PORT;session=ID
//! ```
//!
//! The order is fixed and nothing is optional, so that there is one way to write each. In base64
//! it fits into a POP3 command line of 255 octets.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use uuid::Uuid;

use crate::ids::{AccountId, Epoch};

/// The longest identity that is read, octets.
pub const MAX_LENGTH: usize = 176;

/// One client's session, in the logs of proxy and shard: 1 to 24 of a-z and 0-9.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A fresh random id of 16 hex digits.
    pub fn random() -> Self {
        let mut id = Uuid::new_v4().simple().to_string();
        id.truncate(16);
        Self(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SessionId {
    type Err = HandoffError;

    fn from_str(text: &str) -> Result<Self, HandoffError> {
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !(1..=24).contains(&text.len()) || !text.bytes().all(known) {
            return Err(HandoffError::Session);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Who a proxy brings to a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// The account that logged in.
    pub account: AccountId,
    /// The epoch the directory named with it.
    pub epoch: Epoch,
    /// The client's address, as the proxy saw it.
    pub client: SocketAddr,
    /// The session's id.
    pub session: SessionId,
}

/// What is wrong with an identity; never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    /// Too long, or not the four fields in their order.
    #[error("write account=UUID;epoch=N;client=IP:PORT;session=ID")]
    Form,
    /// The account is not a UUID in its usual form.
    #[error("account is not a UUID")]
    Account,
    /// The epoch is not a number above 0.
    #[error("epoch is not a positive number")]
    Epoch,
    /// The client is not an address and port.
    #[error("client is not IP:PORT")]
    Client,
    /// The session id has other characters or length.
    #[error("session is not 1 to 24 of a-z and 0-9")]
    Session,
}

impl fmt::Display for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account,
            epoch,
            client,
            session,
        } = self;
        write!(
            f,
            "account={account};epoch={epoch};client={client};session={session}"
        )
    }
}

impl FromStr for Handoff {
    type Err = HandoffError;

    fn from_str(text: &str) -> Result<Self, HandoffError> {
        if text.len() > MAX_LENGTH {
            return Err(HandoffError::Form);
        }
        let mut fields = text.split(';');
        let mut field = |name: &str| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or(HandoffError::Form)
        };
        let handoff = Self {
            account: exact(field("account")?).ok_or(HandoffError::Account)?,
            epoch: Epoch(
                exact(field("epoch")?)
                    .filter(|n| *n > 0)
                    .ok_or(HandoffError::Epoch)?,
            ),
            client: exact(field("client")?).ok_or(HandoffError::Client)?,
            session: field("session")?.parse()?,
        };
        match fields.next() {
            None => Ok(handoff),
            Some(_) => Err(HandoffError::Form),
        }
    }
}

/// Parses text that prints the same again: no leading zeros, no other spelling.
fn exact<T: FromStr + fmt::Display>(text: &str) -> Option<T> {
    text.parse()
        .ok()
        .filter(|value: &T| value.to_string() == text)
}

/// Feeds any octets to the parser; what it accepts must print as it was.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(handoff) = text.parse::<Handoff>() {
        assert_eq!(handoff.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{pop3, sasl};

    const KNOWN: &str = "account=67e55044-10b1-426f-9247-bb680e5fe0c8;epoch=7;\
                         client=192.0.2.1:5000;session=0a1b";

    #[test]
    fn prints_what_it_parses() {
        let handoff: Handoff = KNOWN.parse().unwrap();
        assert_eq!(handoff.epoch, Epoch(7));
        assert_eq!(handoff.client, "192.0.2.1:5000".parse().unwrap());
        assert_eq!(handoff.to_string(), KNOWN);
    }

    #[test]
    fn refuses_other_forms() {
        for (from, to, error) in [
            ("account=67", "account=", HandoffError::Account),
            ("67e5", "67E5", HandoffError::Account),
            ("epoch=7", "epoch=0", HandoffError::Epoch),
            ("epoch=7", "epoch=07", HandoffError::Epoch),
            ("epoch=7", "epoch=+7", HandoffError::Epoch),
            ("epoch=7", "epoch=18446744073709551616", HandoffError::Epoch),
            (":5000", "", HandoffError::Client),
            ("0a1b", "", HandoffError::Session),
            ("0a1b", "0A1B", HandoffError::Session),
            ("0a1b", "0a1b;x=y", HandoffError::Form),
            ("epoch=7;", "", HandoffError::Form),
            ("account=", "account", HandoffError::Form),
        ] {
            let text = KNOWN.replace(from, to);
            assert_eq!(text.parse::<Handoff>(), Err(error), "{text}");
        }
        let long = format!("{KNOWN}{}", "a".repeat(MAX_LENGTH));
        assert_eq!(long.parse::<Handoff>(), Err(HandoffError::Form));
    }

    #[test]
    fn the_longest_fits_in_a_command_line() {
        let handoff = Handoff {
            account: AccountId::random(),
            epoch: Epoch(u64::MAX),
            client: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"
                .parse()
                .unwrap(),
            session: "a".repeat(24).parse().unwrap(),
        };
        let text = handoff.to_string();
        assert!(text.len() <= MAX_LENGTH, "{}", text.len());
        let line = format!("AUTH EXTERNAL {}\r\n", sasl::encode(text.as_bytes()));
        assert!(line.len() <= pop3::MAX_COMMAND, "{}", line.len());
        assert_eq!(text.parse(), Ok(handoff));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_identities(epoch: u64, port: u16, tail in "[a-z0-9;=]{0,40}") {
            let text = KNOWN
                .replace("epoch=7", &format!("epoch={epoch}"))
                .replace("5000", &port.to_string())
                .replace("0a1b", &tail);
            fuzz(text.as_bytes());
        }
    }
}
