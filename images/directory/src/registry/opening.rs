//! A shard tells how the opening of its volume goes, before it asks for its lease.
//!
//! News for people and for whoever rolls out releases: no transaction depends on it, and the one that
//! grants the lease deletes it.

use std::time::Duration;

use prost::Message;
use tonic::Status;
use wire::ids::ShardName;
use wire::rpc::opening::How;
use wire::rpc::{Opening, Recovers, ShardState, TellOpeningRequest};

use super::Registry;
use super::records::{Found, busy, expect, found};
use crate::model::Key;
use crate::model::records::{OpeningRecord, ShardRecord, ShardStateRecord};
use crate::store::Txn;

impl Registry {
    /// Returns when it is recorded, or need not be: the last word is young and of the same kind.
    pub(super) async fn record_opening(
        &self,
        shard: &ShardName,
        request: TellOpeningRequest,
    ) -> Result<(), Status> {
        let told = OpeningRecord {
            opening: Some(checked(request.opening)?),
            told_at_ms: kit::clock::unix_ms(),
        };
        let key = Key::Opening(shard.clone());
        let run = Key::Shard(shard.clone());
        let keys = [Key::ShardState(shard.clone()), run.clone(), key.clone()];
        let mut entries = self.get(&keys).await?.into_iter();
        let mut next = || entries.next().flatten();
        let state: Option<Found<ShardStateRecord>> = next().map(found).transpose()?;
        let newest: Option<Found<ShardRecord>> = next().map(found).transpose()?;
        let known: Option<Found<OpeningRecord>> = next().map(found).transpose()?;
        check_state(shard, state.map(|found| found.record.state()))?;
        let known = known.map(|found| found.record).unwrap_or_default();
        if !is_news(&known, &told, self.config.opening_interval) {
            return Ok(());
        }
        // A word that comes late, after a grant, is of the past.
        let txn = Txn::new()
            .when(run.to_string(), expect(&newest))
            .put(key.to_string(), told.encode_to_vec());
        match self.commit(txn).await? {
            true => Ok(()),
            false => Err(busy()),
        }
    }
}

fn checked(opening: Option<Opening>) -> Result<Opening, Status> {
    let how = opening.as_ref().and_then(|opening| opening.how.as_ref());
    match how {
        None => Err(Status::invalid_argument("opening: write how it goes")),
        Some(How::Recovers(Recovers { percent: 101.., .. })) => Err(Status::invalid_argument(
            "opening: percent: write at most 100",
        )),
        Some(How::Opens(_) | How::Recovers(_)) => Ok(opening.unwrap_or_default()),
    }
}

/// Only of shards that somebody added is anything kept.
fn check_state(shard: &ShardName, state: Option<ShardState>) -> Result<(), Status> {
    match state {
        Some(ShardState::Active | ShardState::Cordoned | ShardState::Draining) => Ok(()),
        None | Some(ShardState::Unspecified | ShardState::Retired | ShardState::Lost) => {
            let text = format!("the shard {shard} is not expected here");
            Err(Status::failed_precondition(text))
        }
    }
}

/// The same word is written again now and then: its age says whether its shard still works.
fn is_news(known: &OpeningRecord, told: &OpeningRecord, interval: Duration) -> bool {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    // A clock that was set back must not silence a shard for long.
    let age = told.told_at_ms.saturating_sub(known.told_at_ms);
    let recent = (0..interval).contains(&age);
    !recent || recovers(known) != recovers(told)
}

/// None: nothing is known.
fn recovers(record: &OpeningRecord) -> Option<bool> {
    let how = record.opening.as_ref()?.how.as_ref()?;
    Some(match how {
        How::Opens(_) => false,
        How::Recovers(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use wire::rpc::Opens;

    use super::*;

    fn opens() -> Option<Opening> {
        let how = Some(How::Opens(Opens {}));
        Some(Opening { how })
    }

    fn recovers(percent: u32) -> Option<Opening> {
        let recovers = Recovers {
            percent,
            minutes_left: None,
        };
        let how = Some(How::Recovers(recovers));
        Some(Opening { how })
    }

    #[test]
    fn a_word_is_written_when_it_is_of_another_kind_and_not_too_often() {
        let record = |opening, told_at_ms| OpeningRecord {
            opening,
            told_at_ms,
        };
        let is_news = |known, told| is_news(&known, &told, Duration::from_secs(10));
        assert!(is_news(OpeningRecord::default(), record(opens(), 5)));
        assert!(!is_news(record(opens(), 20_000), record(opens(), 29_999)));
        assert!(is_news(
            record(opens(), 20_000),
            record(recovers(0), 20_001)
        ));
        let known = || record(recovers(1), 20_000);
        assert!(!is_news(known(), record(recovers(90), 29_999)));
        assert!(is_news(known(), record(recovers(1), 30_000)));
        assert!(is_news(known(), record(recovers(1), 19_999)));
    }

    #[test]
    fn only_what_can_be_is_taken() {
        assert!(checked(opens()).is_ok());
        assert!(checked(recovers(100)).is_ok());
        for wrong in [None, Some(Opening::default()), recovers(101)] {
            let refused = checked(wrong).unwrap_err();
            assert!(refused.message().starts_with("opening: "), "{refused}");
        }
    }
}
