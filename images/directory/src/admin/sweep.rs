//! What time does by itself: removed accounts are purged, old outcomes and moves that are over are
//! forgotten. The elected replica runs it.

use std::time::Duration;

use tonic::Status;
use wire::ids::{AccountId, RequestId, ShardName};
use wire::rpc::AccountState;

use super::Admin;
use super::remove::{REMOVED, drop_credential, ordered};
use super::write::{Found, value};
use crate::model::Key;
use crate::model::records::{AccountRecord, DebtRecord, MoveRecord};
use crate::store::Txn;

/// Outcomes forgotten in one transaction: below the store's bound.
const BATCH: usize = 100;

impl Admin {
    /// Sweeps now and then for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            if let Err(status) = self.sweep_once(kit::clock::unix_ms()).await {
                tracing::info!(reason = status.message(), "the sweep goes on later");
            }
            tokio::time::sleep(self.config.sweep).await;
        }
    }

    async fn sweep_once(&self, now_ms: i64) -> Result<(), Status> {
        for id in self.kept_long_enough(now_ms) {
            self.purge(id).await?;
        }
        for ids in self.old_outcomes(now_ms).chunks(BATCH) {
            let keys = ids.iter().map(|id| Key::Request(*id).to_string());
            self.step(keys.fold(Txn::new(), Txn::delete)).await?;
        }
        self.sweep_debts().await?;
        for ids in self.old_moves(now_ms).chunks(BATCH) {
            self.forget_moves(ids, now_ms).await?;
        }
        Ok(())
    }

    /// A lost shard pays nothing. What is owed of an account that is gone needs nobody's word.
    async fn sweep_debts(&self) -> Result<(), Status> {
        let keys: Vec<_> = {
            let map = self.shared.read();
            let idle = map.all_debts().filter(|(shard, account, debt)| {
                map.is_lost(shard) || !debt.due && map.account(*account).is_none()
            });
            let keys = idle.map(|(shard, account, _)| Key::Debt(shard.clone(), account));
            keys.collect()
        };
        for keys in keys.chunks(BATCH) {
            let found = self.read_all::<DebtRecord>(keys.to_vec()).await?;
            let debts = keys.iter().zip(found);
            let txn = debts.fold(Txn::new(), |txn, (key, found)| match (key, found) {
                (Key::Debt(shard, _), Some(found)) => self.settle_debt(txn, shard, &found),
                _ => txn,
            });
            if txn.writes() > 0 {
                self.step(txn).await?;
            }
        }
        Ok(())
    }

    fn settle_debt(&self, txn: Txn, shard: &ShardName, found: &Found<DebtRecord>) -> Txn {
        let txn = found.unchanged(txn);
        match self.shared.read().is_lost(shard) {
            true => txn.delete(found.key.clone()),
            false => {
                let due = DebtRecord {
                    due: true,
                    ..found.record.clone()
                };
                txn.put(found.key.clone(), value(&due))
            }
        }
    }

    fn kept_long_enough(&self, now_ms: i64) -> Vec<AccountId> {
        let before = now_ms - millis(self.config.keep_removed);
        let map = self.shared.read();
        map.all_former_accounts()
            .filter(|account| account.state() == AccountState::Removed)
            .filter(|account| account.removed_at_ms() <= before)
            .map(|account| account.id())
            .collect()
    }

    fn old_outcomes(&self, now_ms: i64) -> Vec<RequestId> {
        let before = now_ms - millis(self.config.keep_outcomes);
        let map = self.shared.read();
        let old = map.requests().filter(|(_, done)| *done <= before);
        old.map(|(id, _)| id).collect()
    }

    fn old_moves(&self, now_ms: i64) -> Vec<AccountId> {
        let before = now_ms - millis(self.config.keep_outcomes);
        let map = self.shared.read();
        let old = map.moves().filter(|(_, record)| is_old(record, before));
        old.map(|(account, _)| account).collect()
    }

    /// A conflict means that an account is moved again, or is gone: the others are for next time.
    async fn forget_moves(&self, ids: &[AccountId], now_ms: i64) -> Result<(), Status> {
        let before = now_ms - millis(self.config.keep_outcomes);
        let keys = ids.iter().map(|id| Key::Move(*id)).collect();
        let found = self.read_all::<MoveRecord>(keys).await?;
        let old = found.into_iter().flatten();
        let old = old.filter(|found| is_old(&found.record, before));
        let txn = old.fold(Txn::new(), |txn, found| {
            found.unchanged(txn).delete(found.key.clone())
        });
        if txn.writes() > 0 {
            self.step(txn).await?;
        }
        Ok(())
    }

    /// A conflict means that somebody restored it, or purges it: both are as well.
    async fn purge(&self, id: AccountId) -> Result<(), Status> {
        let found: Option<Found<AccountRecord>> = self.read(Key::Account(id)).await?;
        let removed = |found: &Found<AccountRecord>| found.record.state() == AccountState::Removed;
        let Some(found) = found.filter(removed) else {
            return Ok(());
        };
        let record = ordered(&found.record, AccountState::Purging);
        let txn = found
            .unchanged(Txn::new())
            .put(found.key.clone(), value(&record));
        let txn = drop_credential(txn, id, true);
        let txn = self.without_move(txn, id, REMOVED).await?;
        self.step(txn).await?;
        tracing::info!(account = %id, address = record.address, "kept for long enough: purged");
        Ok(())
    }
}

/// A move that was over by then.
fn is_old(record: &MoveRecord, before: i64) -> bool {
    !record.is_open() && record.changed_at_ms <= before
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}
