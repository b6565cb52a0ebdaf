//! When which account was being moved, as the directory tells it; by the clock of this machine, which
//! the nodes share.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;

/// All moves that were seen, by their ids.
#[derive(Debug, Default)]
pub(super) struct OpenMoves {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    address: String,
    source: String,
    target: String,
    began: Timestamp,
    /// None: it is open.
    ended: Option<Timestamp>,
    is_done: bool,
}

impl OpenMoves {
    /// Takes over what `buzonera moves` shows: those that are open, and recent ones.
    pub(super) fn see(&mut self, moves: &Value) -> Result<()> {
        for one in moves.as_array().context("a list of moves")? {
            let word = |name: &str| {
                let word = one[name].as_str().map(str::to_owned);
                word.with_context(|| format!("a move without {name}: {one}"))
            };
            let phase = word("phase")?;
            let is_over = phase == "done" || phase == "aborted";
            let ended: Option<Timestamp> = match is_over {
                true => Some(word("changed_at")?.parse()?),
                false => None,
            };
            let seen = Seen {
                address: word("address")?,
                source: word("source")?,
                target: word("target")?,
                began: word("started_at")?.parse()?,
                ended,
                is_done: phase == "done",
            };
            self.seen.insert(word("id")?, seen);
        }
        Ok(())
    }

    /// How many accounts arrived at a shard.
    pub(super) fn arrived_at(&self, shard: &str) -> usize {
        let arrived = |seen: &&Seen| seen.is_done && seen.target == shard;
        self.seen.values().filter(arrived).count()
    }

    /// How many accounts left a shard.
    pub(super) fn left(&self, shard: &str) -> usize {
        let left = |seen: &&Seen| seen.is_done && seen.source == shard;
        self.seen.values().filter(left).count()
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.seen
            .values()
            .filter(|seen| seen.ended.is_none())
            .count()
    }

    /// How many of these messages were accepted while their account's move was open.
    pub(super) fn overlapped(&self, accepted: &[(Timestamp, String)]) -> usize {
        let mut of: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
        for seen in self.seen.values() {
            of.entry(&seen.address).or_default().push(seen);
        }
        let is_in = |at: Timestamp, seen: &&Seen| {
            seen.began <= at && seen.ended.is_some_and(|ended| at < ended)
        };
        let overlapped = |(at, address): &&(Timestamp, String)| {
            let moves = of.get(address.as_str()).into_iter().flatten();
            moves.into_iter().any(|seen| is_in(*at, seen))
        };
        accepted.iter().filter(overlapped).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_count_while_their_own_accounts_move_is_open() {
        let mut moves = OpenMoves::default();
        let one = |phase: &str, changed: &str| {
            json!([{
                "id": "1", "address": "a@b.c", "source": "x-0", "target": "x-2", "phase": phase,
                "started_at": "2026-11-27T10:00:00Z", "changed_at": changed,
            }])
        };
        moves.see(&one("copying", "2026-11-27T10:00:01Z")).unwrap();
        assert_eq!((moves.open(), moves.arrived_at("x-2")), (1, 0));
        moves.see(&one("done", "2026-11-27T10:00:05Z")).unwrap();
        assert_eq!((moves.open(), moves.arrived_at("x-2")), (0, 1));
        assert_eq!((moves.left("x-0"), moves.left("x-2")), (1, 0));
        let accepted = |seconds: u8, address: &str| {
            let at = format!("2026-11-27T10:00:{seconds:02}Z");
            (at.parse().unwrap(), address.to_owned())
        };
        let accepted = [
            accepted(4, "a@b.c"),
            accepted(4, "d@b.c"),
            accepted(5, "a@b.c"),
        ];
        assert_eq!(moves.overlapped(&accepted), 1);
        let unknown = json!([{"id": "2"}]);
        assert!(moves.see(&unknown).is_err());
    }
}
