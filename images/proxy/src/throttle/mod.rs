//! How long a login must wait, from the failures before it. Pure: the caller passes the time.
//!
//! Guessing is slowed where it comes from: failures of one *pair* (client address, login) and of
//! one *address* weigh heavily. Failures of one *login*, from wherever, weigh little, so that
//! whoever attacks an account from many addresses does not lock its user out; and from an address
//! where the login succeeded not long ago only the pair's own failures count.
//!
//! Waits are bounded, and so are the tables: they hold hashes under a random key, forget with
//! time, and drop the oldest when full. Each proxy has its own.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

mod failures;
mod rules;
mod table;

pub use rules::Rules;

use failures::Failures;
use rules::Rule;
use table::Table;

/// A table of failures remembers at least the last so many keys; three tables, 9 MB each at most.
const MAX_FAILURES: usize = 1 << 16;

/// At least the last so many pairs are remembered as good; 70 MB at most.
const MAX_TRUSTED: usize = 1 << 20;

/// What a login has to do before the directory is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Wait so long, perhaps not at all. A wait above zero ends with [`Throttle::waited`].
    Wait(Duration),
    /// Too many logins of this address are waiting.
    Refuse,
}

/// The failures and successes that are remembered.
#[derive(Debug)]
pub struct Throttle {
    rules: Rules,
    hasher: RandomState,
    pairs: Table<Failures>,
    addresses: Table<Failures>,
    logins: Table<Failures>,
    trusted: Table<Instant>,
    waiting: HashMap<IpAddr, u32>,
}

impl Throttle {
    /// Knows of nothing yet.
    pub fn new(rules: Rules, now: Instant) -> Self {
        // After this even the most failures that matter are forgiven.
        let memory = rules.forgive * 32;
        Self {
            pairs: Table::new(MAX_FAILURES, memory, now),
            addresses: Table::new(MAX_FAILURES, memory, now),
            logins: Table::new(MAX_FAILURES, memory, now),
            trusted: Table::new(MAX_TRUSTED, rules.trust, now),
            waiting: HashMap::new(),
            hasher: RandomState::new(),
            rules,
        }
    }

    /// A login begins.
    pub fn begin(&mut self, now: Instant, client: IpAddr, login: &str) -> Verdict {
        let keys = self.keys(client, login);
        let wait = self.wait(now, &keys);
        if wait.is_zero() {
            return Verdict::Wait(wait);
        }
        let waiting = self.waiting.entry(keys.network).or_default();
        if *waiting >= self.rules.max_waiting {
            return Verdict::Refuse;
        }
        *waiting += 1;
        Verdict::Wait(wait)
    }

    /// A wait above zero is over, or its client went away.
    pub fn waited(&mut self, client: IpAddr) {
        let network = network(client);
        if let Some(waiting) = self.waiting.get_mut(&network) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&network);
            }
        }
    }

    /// The directory said no.
    pub fn failed(&mut self, now: Instant, client: IpAddr, login: &str) {
        let keys = self.keys(client, login);
        let forgive = self.rules.forgive;
        for (table, key) in [
            (&mut self.pairs, keys.pair),
            (&mut self.addresses, keys.address),
            (&mut self.logins, keys.login),
        ] {
            let before = table
                .get(now, key)
                .map_or(0, |failures| failures.left(now, forgive));
            let failures = Failures {
                count: before.saturating_add(1),
                last: now,
            };
            table.put(now, key, failures);
        }
    }

    /// The directory said yes: from here this login is trusted, and its own failures are over.
    pub fn succeeded(&mut self, now: Instant, client: IpAddr, login: &str) {
        let keys = self.keys(client, login);
        self.pairs.remove(keys.pair);
        self.trusted.put(now, keys.pair, now);
    }

    fn wait(&mut self, now: Instant, keys: &Keys) -> Duration {
        let trust = self.rules.trust;
        let trusted = self
            .trusted
            .get(now, keys.pair)
            .is_some_and(|at| now.saturating_duration_since(at) < trust);
        let forgive = self.rules.forgive;
        let cost = |table: &mut Table<Failures>, key, rule: Rule| {
            table.get(now, key).map_or(Duration::ZERO, |failures| {
                rule.wait(failures.left(now, forgive))
            })
        };
        let pair = cost(&mut self.pairs, keys.pair, self.rules.pair());
        if trusted {
            return pair;
        }
        let address = cost(&mut self.addresses, keys.address, self.rules.address());
        let login = cost(&mut self.logins, keys.login, self.rules.login());
        pair.max(address).max(login)
    }

    fn keys(&self, client: IpAddr, login: &str) -> Keys {
        let network = network(client);
        let login = login.to_lowercase();
        Keys {
            network,
            pair: self.hash(&(network, &login)),
            address: self.hash(&network),
            login: self.hash(&login),
        }
    }

    fn hash(&self, value: &impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// The address that stands for a client: itself, for IPv6 its /64, which is one customer.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

struct Keys {
    network: IpAddr,
    pair: u64,
    address: u64,
    login: u64,
}

#[cfg(test)]
mod tests;
