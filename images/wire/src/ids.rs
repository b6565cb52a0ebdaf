//! The ids that cross tiers. Each is a type of its own, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// An id that is not of its type's form; names the type, the text and what would work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}: {rule}")]
pub struct IdError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl IdError {
    fn new(kind: &'static str, text: impl Into<String>, rule: &'static str) -> Self {
        Self {
            kind,
            text: text.into(),
            rule,
        }
    }
}

/// Makes a 16-octet id type with its text and wire forms.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh random id (UUID version 4).
            pub fn random() -> Self {
                Self(Uuid::new_v4().into_bytes())
            }

            /// From its 16 octets.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// From a field of an RPC message or a record, which must hold 16 octets.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let octets = bytes.try_into().map_err(|_| {
                    let text = format!("{} octets", bytes.len());
                    IdError::new($kind, text, "it has 16 octets")
                })?;
                Ok(Self(octets))
            }

            /// Its 16 octets.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Its 16 octets as a message field.
            pub fn to_field(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let uuid = Uuid::try_parse(text)
                    .map_err(|_| IdError::new($kind, text, "write it as a UUID (RFC 9562)"))?;
                Ok(Self(uuid.into_bytes()))
            }
        }
    };
}

uuid_id!(
    /// One user's whole store; given once, never again.
    AccountId,
    "an account id"
);
uuid_id!(
    /// One move of one account.
    MoveId,
    "a move id"
);
uuid_id!(
    /// An administrator's write: the same id is the same write.
    RequestId,
    "a request id"
);
uuid_id!(
    /// A delivery: 128 bits of SHA-256 over reverse path and message, or random.
    DeliveryId,
    "a delivery id"
);
uuid_id!(
    /// A cluster; written once into the store and kept on every volume.
    ClusterId,
    "a cluster id"
);

/// Per account, only rises, issued only by the directory. 0 is no epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a shard's process, numbered by the directory. 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of a shard: a DNS label of at most 63 octets (RFC 1123), never used again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName(String);

impl ShardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShardName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(IdError::new(
            "a shard name",
            shown,
            "write 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit",
        ))
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A random id of one SMTP transaction: in the 250, in Received and in logs. 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionId(String);

impl TransactionId {
    /// A fresh random id.
    pub fn random() -> Self {
        let bytes = Uuid::new_v4().into_bytes();
        Self(
            bytes[..8]
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect(),
        )
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether `text` is a lower-case DNS label (RFC 1123 section 2.1).
pub fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Feeds any octets to the parsers; what they accept must print as it was understood.
pub fn fuzz(data: &[u8]) {
    if let Ok(id) = AccountId::from_slice(data) {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<AccountId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    match text.parse::<ShardName>() {
        Ok(name) => assert_eq!(name.as_str(), text),
        Err(error) => assert!(error.text.len() <= 4 * 80),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuid_ids_print_what_they_parse() {
        let id = AccountId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(AccountId::from_slice(&id.to_field()), Ok(id));
        let error = AccountId::from_slice(b"short").unwrap_err().to_string();
        assert_eq!(error, "\"5 octets\" is not an account id: it has 16 octets");
    }

    #[test]
    fn shard_names_are_labels() {
        assert!("shard-1".parse::<ShardName>().is_ok());
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(bad.parse::<ShardName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn transaction_ids_differ() {
        let id = TransactionId::random();
        assert_eq!(id.as_str().len(), 16);
        assert_ne!(id, TransactionId::random());
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_ids(text in "[0-9a-fA-F-]{30,40}|[a-z0-9-]{0,66}|\\PC{0,100}") {
            fuzz(text.as_bytes());
        }
    }
}
