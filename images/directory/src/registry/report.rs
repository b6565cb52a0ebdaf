//! A shard tells how full it is and whose quota state changed: news that no lease waits for.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::Status;
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::{ReportReply, ReportRequest, ShardLoad};

use super::Registry;
use super::records::{ATTEMPTS, Found, busy, found};
use crate::model::Key;
use crate::model::records::{AccountRecord, LoadRecord, OverQuotaRecord};
use crate::store::{Expect, Revision, Txn};

/// Most quota changes in one report.
const MAX_QUOTA_CHANGES: usize = 1000;

/// Quota changes written in one transaction: below the store's bound.
const QUOTA_BATCH: usize = 100;

impl Registry {
    /// An error means that the shard tells all of it again; whatever is recorded twice stays as it is.
    pub(super) async fn record(
        &self,
        shard: &ShardName,
        request: &ReportRequest,
    ) -> Result<ReportReply, Status> {
        let changes = quota_changes(request)?;
        let incarnation = Incarnation(request.incarnation);
        self.record_load(shard, incarnation, request.load).await?;
        for batch in changes.chunks(QUOTA_BATCH) {
            let mut attempts = 0..ATTEMPTS;
            while !self.record_quota(shard, incarnation, batch).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(ReportReply {})
    }

    async fn record_load(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        load: Option<ShardLoad>,
    ) -> Result<(), Status> {
        let newest = self.newest(shard, incarnation).await?;
        let Some(load) = load else {
            return Ok(());
        };
        let key = Key::Load(shard.clone());
        let entry = self.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let known: Option<Found<LoadRecord>> = entry.map(found).transpose()?;
        let known = known.map(|found| found.record).unwrap_or_default();
        let record = LoadRecord {
            incarnation: incarnation.0,
            load: Some(load),
            told_at_ms: kit::clock::unix_ms(),
        };
        if !is_news(&known, &record, self.config.load_interval) {
            return Ok(());
        }
        let txn = witnessed(shard, newest.revision);
        let txn = txn.put(key.to_string(), record.encode_to_vec());
        match self.commit(txn).await? {
            true => Ok(()),
            false => Err(busy()),
        }
    }

    /// False: something changed meanwhile.
    async fn record_quota(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        batch: &[(AccountId, bool)],
    ) -> Result<bool, Status> {
        let newest = self.newest(shard, incarnation).await?;
        let keys: Vec<_> = batch
            .iter()
            .map(|(account, _)| Key::Account(*account))
            .collect();
        let entries = self.get(&keys).await?;
        let mut txn = witnessed(shard, newest.revision);
        for ((account, over), entry) in batch.iter().zip(entries) {
            // Others' accounts, and those that are gone, are not this shard's to speak of.
            let record: Option<Found<AccountRecord>> = entry.map(found).transpose()?;
            if let Some(found) = record.filter(|found| found.record.shard == shard.as_str()) {
                let key = Key::Account(*account).to_string();
                txn = txn.when(key, Expect::At(found.revision));
                txn = put_quota(txn, *account, *over);
            }
        }
        match txn.writes() {
            0 => Ok(true),
            _ => self.commit(txn).await,
        }
    }
}

/// Only the newest run of a shard's process speaks for it.
fn witnessed(shard: &ShardName, revision: Revision) -> Txn {
    Txn::new().when(Key::Shard(shard.clone()).to_string(), Expect::At(revision))
}

fn put_quota(txn: Txn, account: AccountId, over: bool) -> Txn {
    let key = Key::Quota(account).to_string();
    if !over {
        return txn.delete(key);
    }
    let since_ms = kit::clock::unix_ms();
    txn.put(key, OverQuotaRecord { since_ms }.encode_to_vec())
}

/// Often enough for whoever looks, and seldom enough that a thousand shards are no burden. That a
/// volume is nearly full is told at once.
fn is_news(known: &LoadRecord, told: &LoadRecord, interval: Duration) -> bool {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    // A clock that was set back must not silence a shard for long.
    let age = told.told_at_ms.saturating_sub(known.told_at_ms);
    let recent = (0..interval).contains(&age);
    let room = |record: &LoadRecord| record.load.map(|load| (load.nearly_full, load.read_only));
    known.incarnation != told.incarnation
        || room(known) != room(told)
        || (!recent && known.load != told.load)
}

/// The last word on each account.
fn quota_changes(request: &ReportRequest) -> Result<Vec<(AccountId, bool)>, Status> {
    if request.quota_changes.len() > MAX_QUOTA_CHANGES {
        let text = format!("quota_changes: tell at most {MAX_QUOTA_CHANGES} at a time");
        return Err(Status::invalid_argument(text));
    }
    let mut changes = HashMap::new();
    for change in &request.quota_changes {
        let account = AccountId::from_slice(&change.account);
        let wrong = |error| Status::invalid_argument(format!("quota_changes: {error}"));
        changes.insert(account.map_err(wrong)?, change.over);
    }
    Ok(changes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_written_when_it_is_another_and_not_too_often() {
        let interval = Duration::from_secs(30);
        let record = |bytes, told_at_ms| LoadRecord {
            incarnation: 1,
            load: Some(ShardLoad {
                bytes,
                ..ShardLoad::default()
            }),
            told_at_ms,
        };
        let is_news = |known, told| is_news(&known, &told, interval);
        assert!(is_news(LoadRecord::default(), record(1, 0)));
        assert!(!is_news(record(1, 10_000), record(2, 39_999)));
        assert!(is_news(record(1, 10_000), record(2, 40_000)));
        assert!(!is_news(record(1, 10_000), record(1, 40_000)));
        assert!(is_news(record(1, 10_000), record(2, 9_000)));
        let mut full = record(1, 10_001);
        full.load.as_mut().unwrap().nearly_full = true;
        assert!(is_news(record(1, 10_000), full));
        let mut stopped = record(1, 10_001);
        stopped.load.as_mut().unwrap().read_only = true;
        assert!(is_news(record(1, 10_000), stopped));
        let mut later = record(1, 10_001);
        later.incarnation = 2;
        assert!(is_news(record(1, 10_000), later));
    }

    #[test]
    fn the_last_word_on_each_account_counts() {
        let state = |account: u8, over| wire::rpc::QuotaState {
            account: vec![account; 16].into(),
            over,
        };
        let mut request = ReportRequest {
            quota_changes: vec![state(1, true), state(2, true), state(1, false)],
            ..ReportRequest::default()
        };
        let mut changes = quota_changes(&request).unwrap();
        changes.sort_unstable();
        let id = |octet| AccountId::from_bytes([octet; 16]);
        assert_eq!(changes, [(id(1), false), (id(2), true)]);
        request.quota_changes[0].account = vec![1].into();
        assert!(quota_changes(&request).is_err());
        request.quota_changes = vec![state(1, true); MAX_QUOTA_CHANGES + 1];
        assert!(quota_changes(&request).is_err());
    }
}
