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
