//! Sentences about moves: pure.

use std::fmt::Display;

use crds::mail_cluster::RebalanceStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plan::Lack;

use crate::cluster::size::about;
use crate::conditions::{Holds, INSUFFICIENT_CAPACITY, Said};
use crate::rebalance::{Left, Short, Word};

/// So many shards are named; of the others how many there are.
const NAMED: usize = 3;

/// What helps where room is missing.
const WAYS: &str = "write a larger storage.size, or add a shard";

/// The condition as a round's word has it.
pub(super) fn of(word: &Word) -> (Holds, &'static str, String) {
    let (holds, reason, text) = match word {
        Word::Unknown => (
            Holds::Unknown,
            "DirectoryUnreachable",
            "the directory does not tell",
        ),
        Word::Paused => (Holds::False, "Paused", "nothing moves"),
        Word::Balanced => (Holds::False, "Balanced", ""),
        Word::Disabled => (Holds::False, "Off", "rebalance.mode: Disabled"),
        Word::DryRun => (
            Holds::False,
            "DryRun",
            "shards are uneven; rebalance.mode: DryRun",
        ),
        Word::Uneven => (
            Holds::False,
            "Uneven",
            "shards are uneven; accounts move once they have been so for a while",
        ),
        Word::TooLarge => (
            Holds::False,
            "AccountsTooLarge",
            "shards are uneven, and each account that could move is too large to make them more even",
        ),
        Word::Moving => (
            Holds::True,
            "MovingAccounts",
            "accounts move to even the shards out",
        ),
        Word::Draining => (
            Holds::True,
            "Draining",
            "accounts move off shards that leave",
        ),
        Word::RecentlyMoved(lately) => {
            let text = format!(
                "shards are uneven; {} of those that give moved within the hour, and stay for now: \
                 the first may move again at {}",
                accounts(lately.accounts),
                minute(lately.until_ms)
            );
            return (Holds::False, "RecentlyMoved", text);
        }
        Word::NoRoom(short) => return (Holds::False, INSUFFICIENT_CAPACITY, no_room(short)),
        Word::NotServing(shards) => {
            let text = format!(
                "{}: not serving, so nothing moves from or to there",
                names(shards)
            );
            return (Holds::False, "ShardsNotServing", text);
        }
    };
    (holds, reason, text.to_owned())
}

/// Of shards that are to be emptied and do not begin.
pub(super) fn cannot_be_emptied(shards: &[String]) -> String {
    format!(
        "{}: to be emptied, and what is there has no room on other shards: {WAYS}",
        names(shards)
    )
}

/// Of a beginning, for an Event.
pub(super) fn began(status: &RebalanceStatus, said: Option<&Said>) -> String {
    let number = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
    let (moves, bytes) = (number(status.moves), number(status.bytes));
    with_reason(
        format!("{} with {} are to move", accounts(moves), about(bytes)),
        said,
    )
}

/// Of an end, for an Event.
pub(super) fn ended(
    since: &Time,
    moved: Left,
    status: &RebalanceStatus,
    said: Option<&Said>,
) -> String {
    let moved = format!(
        "{} with {} have moved since {}",
        accounts(moved.moves),
        about(moved.bytes),
        minute(since.0.as_millisecond())
    );
    let undone = status.undone.and_then(|undone| u64::try_from(undone).ok());
    match undone.filter(|undone| *undone > 0) {
        Some(undone) => format!("{moved}, and {undone} of the plan's have not"),
        None => with_reason(moved, said),
    }
}

fn with_reason(text: String, said: Option<&Said>) -> String {
    match said.map(|said| said.message.as_str()) {
        Some(message) if !message.is_empty() => format!("{text}; {message}"),
        Some(_) | None => text,
    }
}

fn no_room(short: &Short) -> String {
    if short.lacks.is_empty() {
        return format!(
            "{}: volumes too full, and no other shard has room: {WAYS}",
            names(&short.full)
        );
    }
    let lack = |lack: &Lack| {
        let (wanted, room) = (about(lack.wanted), about(lack.room));
        format!(
            "{} should take {wanted} and has room for {room}",
            lack.shard
        )
    };
    let lacks: Vec<String> = short.lacks.iter().map(lack).collect();
    format!("what should move finds no room: {}: {WAYS}", names(&lacks))
}

fn names<T: Display>(all: &[T]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(T::to_string).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn accounts(number: u64) -> String {
    match number {
        1 => "1 account".to_owned(),
        number => format!("{number} accounts"),
    }
}

/// To the minute in which it is over.
fn minute(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000) + i64::from(unix_ms.rem_euclid(60_000) > 0);
    match Timestamp::from_millisecond(minutes.saturating_mul(60_000)) {
        Ok(time) => time.strftime("%H:%M UTC").to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rebalance::Lately;

    fn said(word: &Word) -> (Holds, &'static str, String) {
        of(word)
    }

    #[test]
    fn whoever_has_to_wait_is_told_until_when() {
        let lately = Lately {
            accounts: 12,
            until_ms: 14 * 3_600_000 + 5,
        };
        let (holds, reason, text) = said(&Word::RecentlyMoved(lately));
        assert_eq!((holds, reason), (Holds::False, "RecentlyMoved"));
        assert!(text.contains("12 accounts"), "{text}");
        assert!(text.ends_with("at 14:01 UTC"), "{text}");
    }

    #[test]
    fn what_is_missing_is_named_where_it_is_missing() {
        let lack = |number: u64| Lack {
            shard: format!("a-{number}").parse().unwrap(),
            wanted: 3 << 29,
            room: number,
        };
        let short = Short {
            lacks: (0..5).map(lack).collect(),
            full: Vec::new(),
        };
        let (_, reason, text) = said(&Word::NoRoom(short));
        assert_eq!(reason, "InsufficientCapacity");
        assert!(
            text.contains("a-0 should take 1.5Gi and has room for 0, a-1"),
            "{text}"
        );
        assert!(text.contains("a-2 should take 1.5Gi and has room for 2 and 2 more: write"));
        let short = Short {
            lacks: Vec::new(),
            full: vec!["a-7".parse().unwrap()],
        };
        let (_, _, text) = said(&Word::NoRoom(short));
        assert!(text.starts_with("a-7: volumes too full"), "{text}");
    }

    #[test]
    fn an_event_counts_and_says_what_keeps_the_rest() {
        let since = Time(Timestamp::from_second(3600).unwrap());
        let moved = Left {
            moves: 36,
            bytes: 3 << 30,
        };
        let status = RebalanceStatus::default();
        let (holds, reason, text) = said(&Word::TooLarge);
        let large = Said::new("Rebalancing", holds, reason, text);
        let counts = "36 accounts with 3.0Gi have moved since 01:00 UTC";
        assert_eq!(ended(&since, moved, &status, None), counts);
        let text = ended(&since, moved, &status, Some(&large));
        assert!(
            text.starts_with(counts) && text.contains("too large"),
            "{text}"
        );
        let status = RebalanceStatus {
            undone: Some(2),
            moves: Some(1),
            bytes: Some(1 << 20),
            ..status
        };
        let text = ended(&since, moved, &status, Some(&large));
        assert_eq!(text, format!("{counts}, and 2 of the plan's have not"));
        let (holds, reason, text) = said(&Word::Draining);
        let draining = Said::new("Rebalancing", holds, reason, text);
        assert_eq!(
            began(&status, Some(&draining)),
            "1 account with 1.0Mi are to move; accounts move off shards that leave"
        );
    }
}
