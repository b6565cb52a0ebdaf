//! Removes rows that nothing needs any more, a bounded number at a time.

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

    /// Forgets some deliveries that were stored before `before_ms`; how many.
    pub fn forget_some(&mut self, before_ms: i64) -> Result<usize, IndexError> {
        let mut rows = self.index.batch();
        let old = keys::TIMES.to_vec()..keys::time_bound(before_ms).to_vec();
        let mut forgotten = 0;
        for guard in self.index.rows.range(old).take(SWEEP_ROWS) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            let (Some(account), Some(delivery)) =
                (keys::account_of_time(&key), keys::delivery_of(&key))
            else {
                return Err(IndexError::Row("a time"));
            };
            rows.remove(&self.index.rows, keys::delivery(account, delivery));
            rows.remove(&self.index.rows, key);
            forgotten += 1;
        }
        rows.commit().map_err(IndexError::store("be written"))?;
        Ok(forgotten)
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
