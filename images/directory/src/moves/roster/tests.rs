use super::*;

const FIRST: Duration = Duration::from_secs(1);

fn roster(in_hand: usize) -> Roster {
    Roster::new(&MovesConfig {
        in_hand,
        first_pause: FIRST,
        longest_pause: FIRST * 3,
        ..MovesConfig::default()
    })
}

fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn ends(source: &str, target: &str) -> Option<Ends> {
    Some(Ends {
        source: source.parse().unwrap(),
        target: target.parse().unwrap(),
    })
}

/// Lists moves from one shard to another.
fn list(roster: &mut Roster, numbers: impl IntoIterator<Item = u8>, source: &str, target: &str) {
    for number in numbers {
        roster.list(account(number), MovePhase::Planned, || ends(source, target));
    }
}

fn begin_all(roster: &mut Roster) -> Vec<AccountId> {
    std::iter::from_fn(|| roster.begin()).collect()
}

#[test]
fn what_rests_keeps_nobody_from_its_turn() {
    let (mut roster, now) = (roster(2), Instant::now());
    list(&mut roster, 1..=5, "a", "dead");
    list(&mut roster, [9], "a", "b");
    let mut seen = Vec::new();
    while let Some(account) = roster.begin() {
        seen.push(account);
        roster.backs_off(account, now);
    }
    let all = [1, 2, 3, 4, 5, 9].map(account);
    assert_eq!(seen, all);
    assert_eq!(roster.next_wake(), Some(now + FIRST));
    roster.wake(now + FIRST);
    assert_eq!(roster.begin(), Some(account(1)));
}

#[test]
fn so_many_are_in_hand_and_few_of_one_lane() {
    let mut roster = roster(16);
    list(&mut roster, 1..=20, "a", "b");
    assert_eq!(begin_all(&mut roster), [account(1), account(2)]);
    for (target, numbers) in [("c", 21..=40), ("d", 41..=60)] {
        list(&mut roster, numbers, "a", target);
    }
    let others = [21, 22, 41, 42].map(account);
    assert_eq!(begin_all(&mut roster), others);
    roster.over(account(2));
    assert_eq!(begin_all(&mut roster), [account(3)]);
    for (lane, first) in (0..6).zip((100..).step_by(2)) {
        list(&mut roster, [first, first + 1], "e", &format!("e{lane}"));
    }
    assert_eq!(begin_all(&mut roster).len(), 10, "sixteen in all");
}

#[test]
fn what_has_begun_comes_first() {
    let mut roster = roster(8);
    list(&mut roster, [1], "a", "b");
    roster.list(account(2), MovePhase::Verified, || ends("a", "b"));
    assert_eq!(roster.begin(), Some(account(2)));
}

#[test]
fn pauses_grow_until_the_move_comes_on() {
    let (mut roster, now) = (roster(1), Instant::now());
    list(&mut roster, [1], "a", "b");
    let mut pause = |came_on| {
        roster.wake(now + LONGEST_WITHOUT_LEASE);
        let account = roster.begin().unwrap();
        if came_on {
            roster.came_on(account);
        }
        roster.backs_off(account, now);
        roster.next_wake().unwrap() - now
    };
    let pauses = [false, false, false, false, true].map(&mut pause);
    assert_eq!(pauses, [1, 2, 3, 3, 1].map(Duration::from_secs));
}

#[test]
fn a_lease_that_is_back_ends_long_pauses() {
    let (mut roster, now) = (roster(8), Instant::now());
    list(&mut roster, [1], "a", "b");
    list(&mut roster, [2], "a", "c");
    roster.ask_leases(|shard| shard.as_str() != "b");
    for _ in 0..10 {
        roster.wake(now + LONGEST_WITHOUT_LEASE);
        for account in begin_all(&mut roster) {
            roster.backs_off(account, now);
        }
    }
    // Of the other, which waits for something else.
    assert_eq!(roster.next_wake(), Some(now + FIRST * 3));
    roster.wake(now + FIRST * 3);
    assert_eq!(begin_all(&mut roster), [account(2)]);
    assert_eq!(roster.next_wake(), Some(now + LONGEST_WITHOUT_LEASE));
    roster.ask_leases(|_| true);
    assert_eq!(begin_all(&mut roster), [account(1)]);
    roster.backs_off(account(1), now);
    assert_eq!(roster.next_wake(), Some(now + FIRST));
}

#[test]
fn what_another_decided_has_its_last_turn_at_once() {
    let (mut roster, now) = (roster(24), Instant::now());
    list(&mut roster, 1..=3, "a", "b");
    let begun = begin_all(&mut roster);
    assert_eq!(begun, [1, 2, 3].map(account));
    roster.backs_off(account(1), now);
    roster.waits_for_places(account(2), ends("a", "b").unwrap());
    roster.keep(|_| true);
    assert_eq!(begin_all(&mut roster), []);
    roster.keep(|_| false);
    let mut last: Vec<_> = begin_all(&mut roster);
    last.sort();
    assert_eq!(last, [account(1), account(2)]);
    // It was in hand, and may have looked before the abort.
    roster.backs_off(account(3), now);
    assert_eq!(begin_all(&mut roster), [account(3)]);
    roster.over(account(3));
    assert_eq!(begin_all(&mut roster), []);
}

#[test]
fn who_waits_for_places_goes_on_in_order() {
    let mut roster = roster(64);
    list(&mut roster, 1..=3, "a", "b");
    list(&mut roster, 4..=5, "c", "d");
    assert_eq!(begin_all(&mut roster).len(), 5);
    // The last one is another move by now.
    for (number, source) in [(1, "a"), (2, "a"), (3, "a"), (4, "c"), (5, "a")] {
        roster.waits_for_places(account(number), ends(source, "b").unwrap());
    }
    let mut seated = |places| {
        let free = std::cell::Cell::new(places);
        roster.places_are_free(|_, ends| {
            let may = ends.source.as_str() == "a" && free.get() > 0;
            free.set(free.get() - i32::from(may));
            may
        });
        begin_all(&mut roster)
    };
    assert_eq!(seated(2), [1, 2].map(account));
    assert_eq!(seated(2), [3, 5].map(account));
    assert_eq!(seated(2), []);
}
