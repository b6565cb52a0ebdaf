//! The id by which a shard knows a message that it has seen.

use ring::digest::{Context, SHA256};

use crate::ids::DeliveryId;
use crate::smtp::ReversePath;

/// Computes a delivery id while the message streams in.
///
/// It is 128 bits of SHA-256 over the length of the reverse path (8 octets, big-endian), the
/// reverse path without brackets, and the message as received: dots unstuffed, the final CRLF
/// supplied, no header added or removed. DATA and BDAT give the same.
pub struct DeliveryHasher(Context);

impl DeliveryHasher {
    /// For a message from `from`.
    pub fn new(from: &ReversePath) -> Self {
        let mut context = Context::new(&SHA256);
        let from = from.to_string();
        context.update(&(from.len() as u64).to_be_bytes());
        context.update(from.as_bytes());
        Self(context)
    }

    /// The next octets of the message.
    pub fn update(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    /// The id. Without a Message-ID two equal messages may be two, so the id is random.
    pub fn finish(self, has_message_id: bool) -> DeliveryId {
        if !has_message_id {
            return DeliveryId::random();
        }
        let digest = self.0.finish();
        let mut octets = [0; 16];
        octets.copy_from_slice(&digest.as_ref()[..16]);
        DeliveryId::from_bytes(octets)
    }
}

/// The id must not depend on how the message was cut into reads, and must depend on the path.
pub fn fuzz(data: &[u8]) {
    let id = |from: &ReversePath, size: usize| {
        let mut hasher = DeliveryHasher::new(from);
        data.chunks(size).for_each(|part| hasher.update(part));
        hasher.finish(true)
    };
    let null = ReversePath::Null;
    assert_eq!(id(&null, 1), id(&null, usize::MAX));
    if let Ok((from, _)) = ReversePath::parse("<a@b.example>") {
        assert_ne!(id(&from, 64), id(&null, 64));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answer() {
        let (from, _) = ReversePath::parse("<a@b.example>").unwrap();
        let mut hasher = DeliveryHasher::new(&from);
        hasher.update(b"Message-ID: <1@b.example>\r\n\r\nHello\r\n");
        // printf '\0\0\0\0\0\0\0\013a@b.example…' | sha256sum | cut -c1-32
        let expected = "da7b1000-f1ce-40c1-63be-f8a424eb8fa1";
        assert_eq!(hasher.finish(true).to_string(), expected);
    }

    #[test]
    fn random_without_message_id() {
        let hasher = || DeliveryHasher::new(&ReversePath::Null);
        assert_eq!(hasher().finish(true), hasher().finish(true));
        assert_ne!(hasher().finish(false), hasher().finish(false));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
