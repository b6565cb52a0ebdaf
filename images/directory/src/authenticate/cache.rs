//! Logins that succeeded a short while ago, so that a client that polls costs no hash each time.
//!
//! Holds no password: a tag is an HMAC under a random key of this process, over the account, its
//! stored hash and the password, so a new password or a new account makes old tags worthless.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use wire::ids::AccountId;
use wire::secret::Secret;

/// The cache. Times are since any fixed moment, and only rise.
pub(super) struct Cache {
    key: hmac::Key,
    ttl: Duration,
    capacity: usize,
    tags: HashMap<AccountId, Entry>,
    /// In the order they were added, which is the order in which they end.
    order: VecDeque<(Duration, AccountId)>,
}

struct Entry {
    tag: hmac::Tag,
    until: Duration,
}

/// The system has no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl Cache {
    pub(super) fn new(ttl: Duration, capacity: usize) -> Result<Self, NoRandom> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            key: key.map_err(|_| NoRandom)?,
            ttl,
            capacity,
            tags: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    /// Whether this password was right for this stored hash, not longer ago than the TTL.
    pub(super) fn knows(
        &self,
        account: AccountId,
        phc: &str,
        password: &Secret,
        now: Duration,
    ) -> bool {
        let entry = self.tags.get(&account).filter(|entry| now < entry.until);
        entry.is_some_and(|entry| {
            let message = message(account, phc, password);
            hmac::verify(&self.key, &message, entry.tag.as_ref()).is_ok()
        })
    }

    /// Remembers that this password was right.
    pub(super) fn add(&mut self, account: AccountId, phc: &str, password: &Secret, now: Duration) {
        self.make_room(now);
        let tag = hmac::sign(&self.key, &message(account, phc, password));
        let until = now + self.ttl;
        self.tags.insert(account, Entry { tag, until });
        self.order.push_back((until, account));
    }

    /// Drops what has ended, and the oldest while it is full.
    fn make_room(&mut self, now: Duration) {
        while let Some((until, account)) = self.order.front().copied() {
            if until > now && self.order.len() < self.capacity {
                return;
            }
            self.order.pop_front();
            // A later login of the same account has its own place in the order.
            if self
                .tags
                .get(&account)
                .is_some_and(|entry| entry.until == until)
            {
                self.tags.remove(&account);
            }
        }
    }
}

/// Account, stored hash and password, with lengths, so that no two triples give one message.
fn message(account: AccountId, phc: &str, password: &Secret) -> Vec<u8> {
    let length = (phc.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        account.as_bytes(),
        &length,
        phc.as_bytes(),
        password.expose(),
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);
    const NOW: Duration = Duration::from_secs(1000);

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn knows_the_same_password_of_the_same_hash_for_a_while() {
        let id = AccountId::random();
        let mut cache = Cache::new(TTL, 10).unwrap();
        cache.add(id, "hash", &secret("right"), NOW);
        assert!(cache.knows(id, "hash", &secret("right"), NOW + TTL / 2));
        assert!(!cache.knows(id, "hash", &secret("wrong"), NOW));
        assert!(!cache.knows(id, "other", &secret("right"), NOW));
        assert!(!cache.knows(AccountId::random(), "hash", &secret("right"), NOW));
        assert!(!cache.knows(id, "hash", &secret("right"), NOW + TTL));
        assert!(!cache.knows(id, "has", &secret("hright"), NOW));
    }

    #[test]
    fn is_bounded() {
        let mut cache = Cache::new(TTL, 10).unwrap();
        let ids: Vec<_> = (0..100).map(|_| AccountId::random()).collect();
        for (n, id) in (0..).zip(&ids) {
            cache.add(*id, "hash", &secret("a"), NOW + Duration::from_millis(n));
            cache.add(*id, "hash", &secret("a"), NOW + Duration::from_millis(n));
            assert!(cache.tags.len() <= 10 && cache.order.len() <= 10);
        }
        assert!(cache.knows(ids[99], "hash", &secret("a"), NOW + TTL / 2));
        assert!(!cache.knows(ids[0], "hash", &secret("a"), NOW));
    }
}
