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

use serde::{Deserialize, Serialize};

/// A table of failures remembers at least the last so many keys; three tables, 9 MB each at most.
const MAX_FAILURES: usize = 1 << 16;

/// At least the last so many pairs are remembered as good; 70 MB at most.
const MAX_TRUSTED: usize = 1 << 20;

/// What the throttle does to whom. A *pair* is a login from an address (IPv6: a /64).
///
/// Of each kind: so many failures are `free`; then a wait of `first`, which doubles with each
/// further failure up to `longest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the three kinds are one, described above")]
pub struct Rules {
    pub pair_free: u32,
    #[serde(with = "kit::config::duration")]
    pub pair_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub pair_longest: Duration,
    pub address_free: u32,
    #[serde(with = "kit::config::duration")]
    pub address_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub address_longest: Duration,
    pub login_free: u32,
    #[serde(with = "kit::config::duration")]
    pub login_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub login_longest: Duration,
    /// One failure is forgiven each time this passes.
    #[serde(with = "kit::config::duration")]
    pub forgive: Duration,
    /// How long a success counts as recent.
    #[serde(with = "kit::config::duration")]
    pub trust: Duration,
    /// How many logins of one address may wait at the same time; more are refused, so that
    /// guessing in parallel gains nothing.
    pub max_waiting: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            // Two typing errors are free; 15 s stay below the patience of mail clients (30 s).
            pair_free: 2,
            pair_first: Duration::from_secs(1),
            pair_longest: Duration::from_secs(15),
            // An office or a carrier's NAT has some users with an old password.
            address_free: 10,
            address_first: Duration::from_secs(1),
            address_longest: Duration::from_secs(15),
            // What the user of an attacked account waits at a new place: short.
            login_free: 20,
            login_first: Duration::from_millis(250),
            login_longest: Duration::from_secs(2),
            forgive: Duration::from_secs(60),
            // Mail clients come at least daily.
            trust: Duration::from_secs(24 * 3600),
            max_waiting: 8,
        }
    }
}

/// How failures of one kind become a wait.
#[derive(Debug, Clone, Copy)]
struct Rule {
    free: u32,
    first: Duration,
    longest: Duration,
}

impl Rules {
    fn pair(&self) -> Rule {
        Rule {
            free: self.pair_free,
            first: self.pair_first,
            longest: self.pair_longest,
        }
    }

    fn address(&self) -> Rule {
        Rule {
            free: self.address_free,
            first: self.address_first,
            longest: self.address_longest,
        }
    }

    fn login(&self) -> Rule {
        Rule {
            free: self.login_free,
            first: self.login_first,
            longest: self.login_longest,
        }
    }
}

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

impl Rule {
    fn wait(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(over) => {
                let factor = 1_u32.checked_shl(over - 1).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.longest)
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// How many are not yet forgiven. They are capped, so that even an attack of days is
    /// forgiven within half an hour.
    fn left(self, now: Instant, forgive: Duration) -> u32 {
        let since = now.saturating_duration_since(self.last);
        let forgiven = since.as_nanos() / forgive.as_nanos().max(1);
        let count = self.count.min(32);
        count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

/// A map that forgets: what was not put for `memory` goes, and when more than `capacity` keys
/// came since, the oldest go earlier. Two generations; the older is dropped as a whole.
#[derive(Debug)]
struct Table<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
    since: Instant,
    capacity: usize,
    memory: Duration,
}

impl<V: Copy> Table<V> {
    fn new(capacity: usize, memory: Duration, now: Instant) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            since: now,
            capacity,
            memory,
        }
    }

    fn get(&mut self, now: Instant, key: u64) -> Option<V> {
        self.age(now);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, now: Instant, key: u64, value: V) {
        self.age(now);
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.turn(now);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= self.memory * 2 {
            self.young.clear();
        }
        if age >= self.memory {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: &str = "192.0.2.1";
    const AWAY: &str = "198.51.100.7";

    struct Clock {
        throttle: Throttle,
        now: Instant,
    }

    impl Clock {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                throttle: Throttle::new(Rules::default(), now),
                now,
            }
        }

        fn fail(&mut self, times: u32, client: &str, login: &str) {
            for _ in 0..times {
                self.throttle
                    .failed(self.now, client.parse().unwrap(), login);
            }
        }

        fn succeed(&mut self, client: &str, login: &str) {
            self.throttle
                .succeeded(self.now, client.parse().unwrap(), login);
        }

        /// The wait of a login that begins now, in milliseconds.
        fn wait(&mut self, client: &str, login: &str) -> u128 {
            let client = client.parse().unwrap();
            match self.throttle.begin(self.now, client, login) {
                Verdict::Wait(wait) if wait.is_zero() => 0,
                Verdict::Wait(wait) => {
                    self.throttle.waited(client);
                    wait.as_millis()
                }
                Verdict::Refuse => panic!("refused"),
            }
        }
    }

    #[test]
    fn a_pair_waits_longer_with_each_failure() {
        let mut clock = Clock::new();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(clock.wait(HOME, "a@example.org"));
            clock.fail(1, HOME, "A@example.org");
        }
        assert_eq!(waits, [0, 0, 0, 1000, 2000, 4000, 8000, 15000]);
        assert_eq!(clock.wait(HOME, "b@example.org"), 0);
    }

    #[test]
    fn success_ends_the_pairs_wait() {
        let mut clock = Clock::new();
        clock.fail(9, HOME, "a");
        assert_eq!(clock.wait(HOME, "a"), 15_000);
        clock.succeed(HOME, "a");
        assert_eq!(clock.wait(HOME, "a"), 0);
        // And a trusted pair that starts guessing is slowed again.
        clock.fail(9, HOME, "a");
        assert_eq!(clock.wait(HOME, "a"), 15_000);
    }

    #[test]
    fn an_address_that_tries_many_logins_waits() {
        let mut clock = Clock::new();
        clock.succeed(HOME, "neighbour");
        for login in 0..100 {
            clock.fail(1, HOME, &format!("user{login}"));
        }
        assert_eq!(clock.wait(HOME, "fresh"), 15_000);
        assert_eq!(clock.wait(HOME, "neighbour"), 0);
        assert_eq!(clock.wait(AWAY, "fresh"), 0);
    }

    #[test]
    fn an_attack_on_an_account_does_not_lock_its_user_out() {
        let mut clock = Clock::new();
        clock.succeed(HOME, "a");
        for host in 0..200 {
            clock.fail(3, &format!("203.0.113.{host}"), "a");
        }
        assert_eq!(clock.wait(HOME, "a"), 0);
        assert_eq!(clock.wait(AWAY, "a"), 2_000);
    }

    #[test]
    fn one_ipv6_customer_is_one_address() {
        let mut clock = Clock::new();
        for host in 1..20 {
            clock.fail(1, &format!("2001:db8:1:2::{host:x}"), "x");
        }
        assert_eq!(clock.wait("2001:db8:1:2:ffff::1", "y"), 15_000);
        assert_eq!(clock.wait("2001:db8:1:3::1", "y"), 0);
        assert_eq!(
            network("::ffff:192.0.2.1".parse().unwrap()),
            HOME.parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn failures_are_forgiven_and_trust_ends() {
        let mut clock = Clock::new();
        clock.succeed(AWAY, "b");
        clock.fail(1_000, HOME, "a");
        clock.now += Duration::from_secs(29 * 60);
        assert_eq!(clock.wait(HOME, "a"), 1_000);
        clock.now += Duration::from_secs(60);
        assert_eq!(clock.wait(HOME, "a"), 0);
        clock.now += Duration::from_secs(24 * 3600);
        clock.fail(100, HOME, "b");
        assert_eq!(clock.wait(AWAY, "b"), 2_000);
    }

    #[test]
    fn parallel_guessing_is_refused() {
        let mut clock = Clock::new();
        let client: IpAddr = HOME.parse().unwrap();
        clock.fail(9, HOME, "a");
        let wait = Verdict::Wait(Duration::from_secs(15));
        for _ in 0..8 {
            assert_eq!(clock.throttle.begin(clock.now, client, "a"), wait);
        }
        assert_eq!(
            clock.throttle.begin(clock.now, client, "a"),
            Verdict::Refuse
        );
        // Who need not wait is not refused.
        assert_eq!(clock.wait(HOME, "b"), 0);
        clock.throttle.waited(client);
        assert_eq!(clock.throttle.begin(clock.now, client, "a"), wait);
    }

    #[test]
    fn a_full_table_drops_the_oldest() {
        let now = Instant::now();
        let mut table = Table::new(4, Duration::from_secs(60), now);
        for key in 0..9 {
            table.put(now, key, key);
        }
        assert!(table.young.len() + table.old.len() <= 8);
        assert_eq!(table.get(now, 0), None);
        assert_eq!(table.get(now, 8), Some(8));
        assert_eq!(table.get(now, 5), Some(5));
        assert_eq!(table.get(now + Duration::from_secs(121), 8), None);
    }

    proptest! {
        /// Whatever happened, nobody waits longer than the longest wait.
        #[test]
        fn waits_are_bounded(events in prop::collection::vec((0_u8..3, 0_u8..4, 0_u64..200), 0..200)) {
            let mut clock = Clock::new();
            for (event, who, seconds) in events {
                clock.now += Duration::from_secs(seconds);
                let (client, login) = (format!("192.0.2.{}", who % 2), format!("user{}", who / 2));
                match event {
                    0 => clock.fail(1, &client, &login),
                    1 => clock.succeed(&client, &login),
                    _ => prop_assert!(clock.wait(&client, &login) <= 15_000),
                }
            }
        }
    }
}
