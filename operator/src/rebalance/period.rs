//! Since when accounts move, and how many did: pure.
//!
//! It stands in the status, so that what is told of a beginning and an end is told once, whoever
//! restarts, and also when nobody knew anything or all was paused meanwhile.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use wire::rpc::{Move, MovePhase};

use super::progress::Left;
use super::stop::Tag;
use super::word::Word;

/// A beginning is noted when moves were asked for already, by another clock than theirs.
const LATER_MS: i64 = 10_000;

/// Since when accounts move, as it will stand in the status. `word`: none before the first round.
/// `moved`: how many did, which is counted once it is over.
pub(crate) fn since(
    before: Option<&Time>,
    word: Option<&Word>,
    moved: Option<Left>,
    now: Timestamp,
) -> Option<Time> {
    match (before, word) {
        (None, Some(word)) if word.moves() => Some(Time(now)),
        (Some(_), Some(word)) if !word.moves() && moved.is_some() => None,
        (before, _) => before.cloned(),
    }
}

/// What of the moves was done since then. Those that people asked for are none of it.
pub(super) fn moved(moves: &[Move], since_ms: i64) -> Left {
    let since_ms = since_ms.saturating_sub(LATER_MS);
    let is_done = |told: &&Move| {
        told.phase() == MovePhase::Done && told.changed_at_ms >= since_ms && Tag::of(told).is_some()
    };
    let done = moves.iter().filter(is_done);
    done.fold(Left::default(), |sum, told| Left {
        moves: sum.moves + 1,
        bytes: sum.bytes.saturating_add(told.total_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_once_and_ends_once_it_was_counted() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let (began, now) = (Time(at(10)), at(20));
        let look = |before: Option<&Time>, word: Option<&Word>, moved: Option<Left>| {
            since(before, word, moved, now)
        };
        let moved = Some(Left::default());
        assert_eq!(look(None, None, None), None);
        assert_eq!(look(None, Some(&Word::Balanced), None), None);
        for moves in [Word::Moving, Word::Draining] {
            assert_eq!(look(None, Some(&moves), None), Some(Time(now)));
            assert_eq!(look(Some(&began), Some(&moves), None), Some(began.clone()));
        }
        for unknown in [None, Some(&Word::Unknown), Some(&Word::Paused)] {
            assert_eq!(look(Some(&began), unknown, None), Some(began.clone()));
            assert_eq!(look(None, unknown, None), None);
        }
        let even = Some(&Word::Balanced);
        assert_eq!(look(Some(&began), even, None), Some(began.clone()));
        assert_eq!(look(Some(&began), even, moved), None);
    }

    #[test]
    fn what_has_arrived_since_then_is_counted() {
        let told = |phase: MovePhase, plan: &str, changed_at_ms| Move {
            phase: phase.into(),
            plan: plan.to_owned(),
            changed_at_ms,
            total_bytes: 100,
            ..Move::default()
        };
        let moves = [
            told(MovePhase::Done, "auto", 100_000),
            told(MovePhase::Done, "leaving", 90_000),
            told(MovePhase::Done, "7f3a", 110_000),
            told(MovePhase::Done, "auto", 89_999),
            told(MovePhase::Done, "", 110_000),
            told(MovePhase::Aborted, "auto", 110_000),
            told(MovePhase::Copying, "auto", 110_000),
        ];
        let expected = Left {
            moves: 3,
            bytes: 300,
        };
        assert_eq!(moved(&moves, 100_000), expected);
    }
}
