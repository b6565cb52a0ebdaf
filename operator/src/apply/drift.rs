//! Somebody else who undoes what we write, again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::objects::Key;

/// So often one place may differ again after our own write, within [`WITHIN`].
const PATIENCE: usize = 3;

/// What is counted together.
const WITHIN: Duration = Duration::from_secs(600);

/// How long a place is left to whoever changes it.
const GIVEN_UP: Duration = Duration::from_secs(3600);

/// The most places that are remembered; the oldest are forgotten first.
const MAX_PLACES: usize = 4096;

/// Whether a difference is to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of ours was undone here.
    Write,
    /// It was changed after we wrote it: write it again.
    Repair,
    /// We have repaired it too often: leave it. Said once.
    GiveUp,
    /// It is left alone.
    Leave,
}

/// What was written where, and how it fared.
#[derive(Debug, Default)]
pub struct Drift {
    places: HashMap<(Key, String), Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// A digest of the object as it was wanted.
    wanted: u64,
    /// When we wrote it.
    written: Vec<Instant>,
    given_up: Option<Instant>,
}

impl Drift {
    /// What to do about a difference, which is noted as written where the answer says so. `wanted`
    /// is a digest of the object as it is wanted: with another one, nothing that was before counts.
    pub fn judge(&mut self, key: &Key, path: &str, wanted: u64, now: Instant) -> Verdict {
        self.forget(now);
        let place = self
            .places
            .entry((key.clone(), path.to_owned()))
            .or_default();
        if place.wanted != wanted {
            *place = Place {
                wanted,
                ..Place::default()
            };
        }
        if place.given_up.is_some() {
            return Verdict::Leave;
        }
        if place.written.len() >= PATIENCE {
            place.given_up = Some(now);
            return Verdict::GiveUp;
        }
        let verdict = match place.written.is_empty() {
            true => Verdict::Write,
            false => Verdict::Repair,
        };
        place.written.push(now);
        verdict
    }

    fn forget(&mut self, now: Instant) {
        let age = |then: Instant| now.saturating_duration_since(then);
        self.places.retain(|_, place| {
            place.written.retain(|written| age(*written) < WITHIN);
            place.given_up.take_if(|since| age(*since) >= GIVEN_UP);
            place.given_up.is_some() || !place.written.is_empty()
        });
        if self.places.len() >= MAX_PLACES {
            let oldest = self
                .places
                .iter()
                .min_by_key(|(_, place)| place.written.last());
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.places.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Service,
            namespace: "mail".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn whoever_undoes_it_again_and_again_is_left_alone_for_an_hour() {
        let (mut drift, start) = (Drift::default(), Instant::now());
        let mut at = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            drift.judge(&key("a"), "spec.type", 1, now)
        };
        assert_eq!(at(0), Verdict::Write);
        assert_eq!(at(10), Verdict::Repair);
        assert_eq!(at(20), Verdict::Repair);
        assert_eq!(at(30), Verdict::GiveUp);
        assert_eq!(at(40), Verdict::Leave);
        assert_eq!(at(3000), Verdict::Leave);
        assert_eq!(at(3700), Verdict::Write);
    }

    #[test]
    fn now_and_then_is_no_fight() {
        let (mut drift, start) = (Drift::default(), Instant::now());
        for hour in 0..10 {
            let now = start + Duration::from_secs(hour * 3600);
            assert_eq!(drift.judge(&key("a"), "spec", 1, now), Verdict::Write);
        }
    }

    #[test]
    fn places_are_apart_and_a_new_wish_begins_anew() {
        let (mut drift, now) = (Drift::default(), Instant::now());
        for _ in 0..4 {
            drift.judge(&key("a"), "x", 1, now);
        }
        assert_eq!(drift.judge(&key("a"), "x", 1, now), Verdict::Leave);
        assert_eq!(drift.judge(&key("a"), "y", 1, now), Verdict::Write);
        assert_eq!(drift.judge(&key("b"), "x", 1, now), Verdict::Write);
        assert_eq!(drift.judge(&key("a"), "x", 2, now), Verdict::Write);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut drift, now) = (Drift::default(), Instant::now());
        for place in 0..MAX_PLACES + 100 {
            drift.judge(&key("a"), &place.to_string(), 1, now);
        }
        assert!(drift.places.len() <= MAX_PLACES);
    }
}
