//! Whether the index is whole, and how far it has come.

use std::path::Path;

use fjall::Readable as _;
use prost::Message as _;
use wire::ids::AccountId;

use super::trouble::failed;
use super::{FORM, Index, IndexError, Progress, Result, keys, noted, writer};
use crate::account::Account;
use crate::records::proto::{MailboxRow, ProgressRow};

impl Index {
    /// How far it has come; `None` for a new index.
    pub fn progress(&self) -> Result<Option<Progress>> {
        let row: Option<ProgressRow> = self.get(&keys::PROGRESS, "progress")?;
        row.map(|row| match row.applied {
            _ if row.form != FORM => Err(IndexError::Form(row.form)),
            Some(at) => Ok(Progress {
                at: at.into(),
                sum: row.sum,
                log: row.log,
                accounts: row.accounts,
            }),
            None => Err(IndexError::Row("progress")),
        })
        .transpose()
    }

    /// Reads every account, shows it to `see`, and holds all of them against the sum that the last
    /// batch wrote. A store that lost a part of what was written to it, and not what came later,
    /// opens without a word; what is decided by its accounts would then be wrong.
    pub fn verify(&self, mut see: impl FnMut(AccountId, &Account)) -> Result<()> {
        let progress = self.progress()?;
        let mut sum = 0_u64;
        let mut any = false;
        for account in self.accounts() {
            let (id, account) = account?;
            any = true;
            sum = sum.wrapping_add(writer::account_sum(id, &account));
            see(id, &account);
        }
        match progress {
            None if any => Err(IndexError::Torn("it does not say how far it has come")),
            Some(progress) if progress.accounts != sum => {
                Err(IndexError::Torn("accounts were lost that it had"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a mailbox lists as many messages as it counts, at one instant: two looks at the rows
    /// may fall into the middle of a batch, of which they see a part.
    pub fn counts_what_it_lists(&self, id: AccountId, mailbox: u32) -> Result<bool> {
        let instant = self.database.snapshot();
        let row = instant
            .get(&self.rows, keys::mailbox(id, mailbox))
            .map_err(failed("be read"))?;
        let row = row.map(|row| MailboxRow::decode(&*row));
        let row = row.transpose().map_err(|_| IndexError::Row("a mailbox"))?;
        let range = keys::message(id, mailbox, 0)..=keys::message(id, mailbox, u32::MAX);
        let listed = instant.range(&self.rows, range).count() as u64;
        Ok(row.map_or(0, |row| row.messages) == listed)
    }

    /// What was counted and what is listed differ.
    pub fn differs(&self) -> IndexError {
        let error = IndexError::Torn("a mailbox does not list as many messages as it counts");
        noted::<()>(&self.damage, Err(error))
            .err()
            .unwrap_or(IndexError::Row("a mailbox"))
    }
}

/// The store always has a journal. Without one it opens all the same, and counts its changes anew
/// from nothing: later ones would be hidden behind older ones.
pub(super) fn check_journal(folder: &Path) -> Result<()> {
    let names = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(|error| failed("be listed")(error.into()))?,
    };
    let mut is_new = true;
    for name in names {
        is_new = false;
        let name = name.map_err(|error| failed("be listed")(error.into()))?;
        if name.path().extension().is_some_and(|end| end == "jnl") {
            return Ok(());
        }
    }
    match is_new {
        true => Ok(()),
        false => Err(IndexError::Torn("its journal is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_form_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), None).unwrap();
        let older = ProgressRow {
            applied: Some(Default::default()),
            ..ProgressRow::default()
        };
        let written = index.rows.insert(keys::PROGRESS, older.encode_to_vec());
        written.unwrap();
        assert!(matches!(index.progress(), Err(IndexError::Form(0))));
    }
}
