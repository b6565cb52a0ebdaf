//! Removes rows that nothing needs any more, a bounded number at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use fjall::OwnedWriteBatch;
use wire::ids::AccountId;

use super::{Batch, IndexError, Writer, keys};
use crate::records::proto::Holding;

/// Rows removed at a time, so that no batch of changes waits long for a large account's removal.
const SWEEP_ROWS: usize = 1000;

impl Writer {
    /// Removes some of the rows that emptied accounts left behind; false: there are none.
    pub fn sweep_some(&mut self) -> Result<bool, IndexError> {
        let Some(account) = self.sweeps.front().copied() else {
            return Ok(false);
        };
        let mut rows = self.index.batch();
        self.remove_prefix(&mut rows, &keys::messages(account))?;
        self.remove_prefix(&mut rows, &keys::mailboxes(account))?;
        self.remove_deliveries(&mut rows, account)?;
        if rows.is_empty() {
            rows.remove(&self.index.rows, keys::sweep(account));
            self.sweeps.pop_front();
        }
        rows.commit().map_err(IndexError::store("be written"))?;
        Ok(true)
    }

    /// Forgets some deliveries that were stored before `before_ms`; how many. Those of accounts
    /// that are being moved stay: source and target must have the same when they are compared.
    pub fn forget_some(&mut self, before_ms: i64) -> Result<usize, IndexError> {
        let mut rows = self.index.batch();
        let old = keys::TIMES.to_vec()..keys::time_bound(before_ms).to_vec();
        let mut moving = HashMap::new();
        let mut forgotten = 0;
        for guard in self.index.rows.range(old) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            let (Some(account), Some(delivery)) =
                (keys::account_of_time(&key), keys::delivery_of(&key))
            else {
                return Err(IndexError::Row("a time"));
            };
            let moving = match moving.entry(account) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(vacant) => *vacant.insert(self.is_moving(account)?),
            };
            if moving {
                continue;
            }
            rows.remove(&self.index.rows, keys::delivery(account, delivery));
            rows.remove(&self.index.rows, key);
            forgotten += 1;
            if forgotten == SWEEP_ROWS {
                break;
            }
        }
        rows.commit().map_err(IndexError::store("be written"))?;
        Ok(forgotten)
    }

    fn is_moving(&self, id: AccountId) -> Result<bool, IndexError> {
        let account = self.index.account(id)?;
        Ok(account.is_some_and(|it| matches!(it.holding, Holding::Fenced | Holding::Building)))
    }

    /// An account that starts anew has no rows of its past. A tombstone's are removed by and by.
    pub(super) fn empty(
        &mut self,
        batch: &mut Batch,
        id: AccountId,
        holding: Holding,
        had_data: bool,
    ) -> Result<(), IndexError> {
        let swept = self.sweeps.contains(&id);
        if !had_data && !swept {
            return Ok(());
        }
        // What this batch stored must be there to be removed.
        self.write_rows(batch)?;
        if !swept {
            batch.rows.insert(&self.index.rows, keys::sweep(id), []);
            self.write_rows(batch)?;
            self.sweeps.push_back(id);
        }
        if holding == Holding::Building {
            self.sweeps.retain(|other| *other != id);
            self.sweeps.push_front(id);
            while self.sweeps.front() == Some(&id) {
                self.sweep_some()?;
            }
        }
        Ok(())
    }

    fn remove_prefix(&self, rows: &mut OwnedWriteBatch, prefix: &[u8]) -> Result<(), IndexError> {
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        for guard in self.index.rows.prefix(prefix).take(room) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            rows.remove(&self.index.rows, key);
        }
        Ok(())
    }

    fn remove_deliveries(
        &self,
        rows: &mut OwnedWriteBatch,
        account: AccountId,
    ) -> Result<(), IndexError> {
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        for remembered in self.index.deliveries(account).take(room) {
            let (delivery, row) = remembered?;
            rows.remove(&self.index.rows, keys::delivery(account, delivery));
            rows.remove(
                &self.index.rows,
                keys::time(row.stored_at_ms, account, delivery),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::writer::tests::Indexed;

    #[test]
    fn deliveries_of_an_account_that_is_moved_are_kept() {
        let mut indexed = Indexed::new();
        let ids = [1, 2].map(|n| AccountId::from_bytes([n; 16]));
        for id in ids {
            indexed.create(id);
            indexed.deliver(id, 9, "", b"", 1000);
        }
        indexed.become_(ids[0], Holding::Fenced, 1);
        assert_eq!(indexed.writer.forget_some(1000).unwrap(), 0);
        assert_eq!(indexed.writer.forget_some(1001).unwrap(), 1);
        let remembered = ids.map(|id| indexed.index().deliveries(id).count());
        assert_eq!(remembered, [1, 0]);
        indexed.become_(ids[0], Holding::Owner, 2);
        assert_eq!(indexed.writer.forget_some(1001).unwrap(), 1);
    }
}
