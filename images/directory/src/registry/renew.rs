//! A shard prolongs its lease, and tells how full it is.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::Status;
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::renew_lease_reply::Result as Answer;
use wire::rpc::{LeaseGranted, RenewLeaseReply, RenewLeaseRequest, ShardLoad};

use super::Registry;
use super::records::{ATTEMPTS, Found, Standing, busy, found, status};
use crate::lease::{Renewal, renew};
use crate::model::Key;
use crate::model::records::{AccountRecord, OverQuotaRecord, ShardRecord};
use crate::store::{Error, Expect, LeaseId, Txn};

/// Most quota changes in one renewal.
const MAX_QUOTA_CHANGES: usize = 1000;

/// Quota changes written in one transaction: below the store's bound.
const QUOTA_BATCH: usize = 100;

impl Registry {
    pub(super) async fn renew(
        &self,
        shard: &ShardName,
        request: &RenewLeaseRequest,
    ) -> Result<RenewLeaseReply, Status> {
        let changes = quota_changes(request)?;
        let incarnation = Incarnation(request.incarnation);
        let answer = self.prolong(shard, incarnation).await?;
        if let Answer::Renewed(_) = &answer {
            self.hear_serving(shard, incarnation, request.serving);
            self.write_load(shard, incarnation, request.load).await?;
            self.write_quota(shard, incarnation, &changes).await?;
        }
        Ok(RenewLeaseReply {
            result: Some(answer),
        })
    }

    async fn prolong(&self, shard: &ShardName, incarnation: Incarnation) -> Result<Answer, Status> {
        for _ in 0..ATTEMPTS {
            let standing = self.standing(shard).await?;
            let renewed = match renew(&standing.known(), incarnation) {
                Renewal::SupersededBy(newest) => return Ok(Answer::SupersededBy(newest.0)),
                Renewal::Behind(newest) => return Err(behind(shard, incarnation, newest)),
                Renewal::Prolong(lease) => self.keep_alive(incarnation, lease).await?,
                Renewal::GrantAgain => None,
            };
            if let Some(granted) = renewed {
                return Ok(Answer::Renewed(granted));
            }
            if let Some(granted) = self.grant_again(shard, incarnation, &standing).await? {
                tracing::info!(%shard, %incarnation, "a lease that had run out is granted again");
                return Ok(Answer::Renewed(granted));
            }
        }
        Err(busy())
    }

    /// None: it has just ended.
    async fn keep_alive(
        &self,
        incarnation: Incarnation,
        lease: LeaseId,
    ) -> Result<Option<LeaseGranted>, Status> {
        match self.store.keep_alive(lease).await {
            Ok(_) => Ok(Some(self.lease_granted(incarnation))),
            Err(Error::LeaseGone) => Ok(None),
            Err(error) => Err(status(&error)),
        }
    }

    async fn grant_again(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        standing: &Standing,
    ) -> Result<Option<LeaseGranted>, Status> {
        let record = standing.record.as_ref();
        let run = record.map_or_else(ShardRecord::default, |found| found.record.clone());
        let run = ShardRecord {
            incarnation: incarnation.0,
            ..run
        };
        let txn = standing.unchanged(shard, Txn::new());
        self.lease(shard, &run, txn).await
    }

    /// Now and then. A conflict is with a newer incarnation, or with another word of this one.
    async fn write_load(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        load: Option<ShardLoad>,
    ) -> Result<(), Status> {
        let Some(load) = load else {
            return Ok(());
        };
        let found = self.newest(shard, incarnation).await?;
        let now_ms = kit::clock::unix_ms();
        if !is_news(&found.record, &load, now_ms, self.config.load_interval) {
            return Ok(());
        }
        let record = ShardRecord {
            load: Some(load),
            load_at_ms: now_ms,
            ..found.record
        };
        let key = Key::Shard(shard.clone()).to_string();
        let txn = Txn::new().when(key.clone(), Expect::At(found.revision));
        self.commit(txn.put(key, record.encode_to_vec())).await?;
        Ok(())
    }

    /// Before the renewal is answered: the shard does not tell them again.
    async fn write_quota(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        changes: &[(AccountId, bool)],
    ) -> Result<(), Status> {
        for batch in changes.chunks(QUOTA_BATCH) {
            let mut attempts = 0..ATTEMPTS;
            while !self.write_quota_batch(shard, incarnation, batch).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(())
    }

    async fn write_quota_batch(
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
        let key = Key::Shard(shard.clone()).to_string();
        let mut txn = Txn::new().when(key, Expect::At(newest.revision));
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

fn put_quota(txn: Txn, account: AccountId, over: bool) -> Txn {
    let key = Key::Quota(account).to_string();
    if !over {
        return txn.delete(key);
    }
    let since_ms = kit::clock::unix_ms();
    txn.put(key, OverQuotaRecord { since_ms }.encode_to_vec())
}

fn is_news(known: &ShardRecord, load: &ShardLoad, now_ms: i64, interval: Duration) -> bool {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    // A clock that was set back must not silence a shard for long.
    let recent = (0..interval).contains(&now_ms.saturating_sub(known.load_at_ms));
    known.load.is_none() || (!recent && known.load.as_ref() != Some(load))
}

/// The last word on each account.
fn quota_changes(request: &RenewLeaseRequest) -> Result<Vec<(AccountId, bool)>, Status> {
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

fn behind(shard: &ShardName, incarnation: Incarnation, newest: Incarnation) -> Status {
    tracing::error!(%shard, %incarnation, %newest, "the store is older than a shard that runs");
    Status::failed_precondition(format!(
        "this is incarnation {incarnation} of {shard}, and the directory knows only {newest}: its \
         store is older than the shard"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_written_when_it_is_another_and_not_too_often() {
        let interval = Duration::from_secs(5);
        let load = |bytes| ShardLoad {
            bytes,
            ..ShardLoad::default()
        };
        let mut known = ShardRecord::default();
        assert!(is_news(&known, &load(1), 0, interval));
        known.load = Some(load(1));
        known.load_at_ms = 10_000;
        assert!(!is_news(&known, &load(2), 14_999, interval));
        assert!(is_news(&known, &load(2), 15_000, interval));
        assert!(!is_news(&known, &load(1), 15_000, interval));
        assert!(is_news(&known, &load(2), 9_000, interval));
    }

    #[test]
    fn the_last_word_on_each_account_counts() {
        let state = |account: u8, over| wire::rpc::QuotaState {
            account: vec![account; 16].into(),
            over,
        };
        let mut request = RenewLeaseRequest {
            quota_changes: vec![state(1, true), state(2, true), state(1, false)],
            ..RenewLeaseRequest::default()
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
