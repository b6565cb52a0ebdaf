//! Changes of one account.

use wire::ids::{AccountId, Epoch};

use super::inner::{Decided, Inner};
use super::slots::{Desk, Slot};
use super::{Shard, Unready};
use crate::account::Account;
use crate::account::access::Intent;
use crate::records::{Change, Entry, proto};

/// Messages of one mailbox that are to go.
#[derive(Debug, Clone)]
pub struct Expunge<'a> {
    /// Whose.
    pub account: AccountId,
    /// The epoch this request was routed by.
    pub epoch: Epoch,
    /// The mailbox.
    pub mailbox: u32,
    /// UIDs; those that are gone are no error.
    pub uids: &'a [u32],
}

impl Shard {
    /// Decides a change of one account and makes it durable; with `Ok(None)` waits until all that
    /// was decided before is. Under the lease in both cases.
    pub async fn change<E: From<Unready>>(
        &self,
        id: AccountId,
        decide: impl FnOnce(Option<&Account>) -> Result<Option<Change>, E>,
    ) -> Result<(), E> {
        let shard = &*self.inner;
        let slot = shard.slots.get(id);
        let decided = {
            let mut desk = slot.desk(&shard.index).map_err(Unready::from)?;
            match decide(desk.account.as_ref())? {
                None => Decided::Stands(desk.mark()),
                Some(change) => {
                    let entry = Entry::Change(id, change);
                    let receipt = shard.queue(entry, &[], &[], &mut [(&slot, &mut desk)])?;
                    Decided::Queued(receipt)
                }
            }
        };
        Ok(shard.acknowledge(&slot, decided).await?)
    }

    /// Removes messages; one record, durable and under the lease when it returns.
    pub async fn expunge(&self, expunge: &Expunge<'_>) -> Result<(), Unready> {
        let shard = &*self.inner;
        let slot = shard.slots.get(expunge.account);
        shard.lease.for_write().await?;
        loop {
            let decided = shard.act(&slot, expunge.epoch, Intent::Write, |desk| {
                match desk.indexed < desk.last_removal {
                    // Rows that a queued removal takes are still there.
                    true => Ok(Err(desk.mark())),
                    false => shard.decide_expunge(expunge, &slot, desk).map(Ok),
                }
            });
            match decided.await? {
                Ok(decided) => return shard.acknowledge(&slot, decided).await,
                Err(mark) => shard.settle(&slot, mark).await?,
            }
        }
    }
}

impl Inner {
    fn decide_expunge(
        &self,
        expunge: &Expunge<'_>,
        slot: &std::sync::Arc<Slot>,
        desk: &mut Desk,
    ) -> Result<Decided, Unready> {
        let mut wanted = expunge.uids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut expunged = proto::Expunged {
            mailbox: expunge.mailbox,
            modseq: desk.account.as_ref().map_or(0, |it| it.highest_modseq) + 1,
            ..proto::Expunged::default()
        };
        for uid in wanted {
            let row = self.index.message(expunge.account, expunge.mailbox, uid)?;
            if let Some(row) = row {
                expunged.uids.push(uid);
                expunged.octets += u64::from(row.prefix_length) + row.body_length;
            }
        }
        if expunged.uids.is_empty() {
            return Ok(Decided::Stands(desk.mark()));
        }
        let count = expunged.uids.len() as u64;
        let entry = Entry::Change(expunge.account, Change::Expunged(expunged));
        let receipt = self.queue(entry, &[], &[], &mut [(slot, desk)])?;
        desk.last_removal = desk.queued;
        self.metrics.expunged.inc_by(count);
        Ok(Decided::Queued(receipt))
    }
}
