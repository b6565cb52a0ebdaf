//! Removes rows that nothing needs any more, a bounded number at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use fjall::{OwnedWriteBatch, UserKey};
use wire::ids::AccountId;

use super::{Batch, IndexError, Writer, keys};
use crate::index::trouble::failed;
use crate::records::proto::Holding;

/// Rows removed at a time, so that no batch of changes waits long for a large account's removal.
const SWEEP_ROWS: usize = 1000;

/// An account whose old rows are being removed, and from where on there still may be some: what
/// was removed is skipped, or a large account would take ever longer.
pub(super) struct Sweep {
    account: AccountId,
    messages: UserKey,
    deliveries: UserKey,
}

impl Sweep {
    pub(super) fn of(account: AccountId) -> Self {
        Self {
            account,
            messages: keys::messages(account).into(),
            deliveries: keys::deliveries(account).into(),
        }
    }
}

impl Writer {
    /// Whether rows that emptied accounts left behind are still there.
    pub fn is_sweeping(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// Removes some of those rows; false: there are none.
    pub fn sweep_some(&mut self) -> Result<bool, IndexError> {
        let Some(mut sweep) = self.sweeps.pop_front() else {
            return Ok(false);
        };
        let account = sweep.account;
        let mut rows = self.index.batch();
        let messages = keys::messages(account);
        self.remove_from(&mut rows, &mut sweep.messages, &messages)?;
        if rows.len() < SWEEP_ROWS {
            self.remove_from(
                &mut rows,
                &mut keys::mailboxes(account).into(),
                &keys::mailboxes(account),
            )?;
        }
        if rows.len() < SWEEP_ROWS {
            self.remove_deliveries(&mut rows, &mut sweep)?;
        }
        match rows.is_empty() {
            true => rows.remove(&self.index.rows, keys::sweep(account)),
            false => self.sweeps.push_front(sweep),
        }
        rows.commit().map_err(failed("be written"))?;
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
            let key = guard.key().map_err(failed("be read"))?;
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
        rows.commit().map_err(failed("be written"))?;
        Ok(forgotten)
    }

    fn is_moving(&self, id: AccountId) -> Result<bool, IndexError> {
        let account = self.index.account(id)?;
        Ok(account.is_some_and(|it| matches!(it.holding, Holding::Fenced | Holding::Building)))
    }

    /// An account that starts anew has no rows of its past: they are removed by and by. Until
    /// then nobody sees them.
    pub(super) fn empty(
        &mut self,
        batch: &mut Batch,
        id: AccountId,
        holding: Holding,
        had_data: bool,
    ) -> Result<(), IndexError> {
        let known = self.sweeps.iter().position(|sweep| sweep.account == id);
        let sweep = match known.and_then(|at| self.sweeps.remove(at)) {
            Some(sweep) => sweep,
            None if had_data => {
                // What this batch stored must be there to be removed.
                self.write_rows(batch)?;
                batch.rows.insert(&self.index.rows, keys::sweep(id), []);
                self.write_rows(batch)?;
                Sweep::of(id)
            }
            None => return Ok(()),
        };
        // Somebody waits for an account that is built.
        match holding {
            Holding::Building => self.sweeps.push_front(sweep),
            _ => self.sweeps.push_back(sweep),
        }
        Ok(())
    }

    /// What comes to an account must not be taken for its past. An import waits until that is
    /// swept; in a replay it follows at once.
    pub(super) fn sweep_before(
        &mut self,
        batch: &mut Batch,
        id: AccountId,
    ) -> Result<(), IndexError> {
        let Some(at) = self.sweeps.iter().position(|sweep| sweep.account == id) else {
            return Ok(());
        };
        self.write_rows(batch)?;
        if let Some(sweep) = self.sweeps.remove(at) {
            self.sweeps.push_front(sweep);
        }
        while self.sweeps.front().is_some_and(|sweep| sweep.account == id) {
            self.sweep_some()?;
        }
        Ok(())
    }

    /// Removes rows from `from` on that begin with `prefix`, and moves `from` behind them.
    fn remove_from(
        &self,
        rows: &mut OwnedWriteBatch,
        from: &mut UserKey,
        prefix: &[u8],
    ) -> Result<(), IndexError> {
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        let rest = self.index.rows.range(from.clone()..);
        for guard in rest.take(room) {
            let key = guard.key().map_err(failed("be read"))?;
            if !key.starts_with(prefix) {
                break;
            }
            rows.remove(&self.index.rows, key.clone());
            *from = key;
        }
        Ok(())
    }

    fn remove_deliveries(
        &self,
        rows: &mut OwnedWriteBatch,
        sweep: &mut Sweep,
    ) -> Result<(), IndexError> {
        let account = sweep.account;
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        for remembered in self
            .index
            .deliveries_from(account, &sweep.deliveries)
            .take(room)
        {
            let (delivery, row) = remembered?;
            let key = UserKey::from(keys::delivery(account, delivery));
            rows.remove(&self.index.rows, key.clone());
            rows.remove(
                &self.index.rows,
                keys::time(row.stored_at_ms, account, delivery),
            );
            sweep.deliveries = key;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::INBOX;
    use crate::index::Index;
    use crate::index::writer::tests::Indexed;
    use crate::records::Change;
    use crate::records::proto::MailboxImported;

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
    fn one_mailbox() -> Change {
        Change::MailboxImported(MailboxImported {
            name: "INBOX".to_owned(),
            uid_validity: 8,
            uid_next: 1,
            ..MailboxImported::default()
        })
    }

    fn rows_of(index: &Index, id: AccountId) -> usize {
        index.messages(id, INBOX, 0).count() + index.deliveries(id).count()
    }

    /// More rows than are removed at a time; another account's stay.
    #[test]
    fn old_rows_go_by_and_by_and_are_not_seen_meanwhile() {
        let mut indexed = Indexed::new();
        let ids = [1, 2, 3].map(|n| AccountId::from_bytes([n; 16]));
        for id in ids {
            indexed.create(id);
            for n in 0..1300_u64 {
                indexed.deliver_once(id, n);
            }
        }
        indexed.become_(ids[1], Holding::Building, 2);
        let index = indexed.index();
        let building = index.account(ids[1]).unwrap().unwrap();
        assert!(building.mailboxes.is_empty());
        assert!(index.is_sweeping(ids[1]).unwrap());
        let mut steps = 0;
        while indexed.writer.sweep_some().unwrap() {
            steps += 1;
        }
        assert_eq!(steps, 4, "1000 rows at a time, and one look");
        assert!(!index.is_sweeping(ids[1]).unwrap());
        let left = ids.map(|id| rows_of(&index, id));
        assert_eq!(left, [2600, 0, 2600]);
        indexed.change(ids[1], one_mailbox());
        let built = index.account(ids[1]).unwrap().unwrap();
        assert_eq!(built.mailboxes[&INBOX].uid_validity, 8);
    }

    #[test]
    fn what_comes_at_once_is_not_swept() {
        let mut indexed = Indexed::new();
        let id = AccountId::from_bytes([1; 16]);
        indexed.create(id);
        for n in 0..1300_u64 {
            indexed.deliver_once(id, n);
        }
        indexed.become_(id, Holding::Building, 2);
        indexed.change(id, one_mailbox());
        assert!(!indexed.writer.is_sweeping());
        assert_eq!(rows_of(&indexed.index(), id), 0);
        let built = indexed.index().account(id).unwrap().unwrap();
        assert_eq!(built.mailboxes[&INBOX].uid_validity, 8);
    }
}
