//! What two shards compare before an account is switched: SHA-256 over all that must survive.
//!
//! In this order, numbers big-endian, texts and lists with their length before them: last change
//! number, next UIDVALIDITY, limits; each mailbox by number with its fields and each of its
//! messages by UID; each remembered delivery by id. A body enters by its own SHA-256, read from
//! the heap.

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use tonic::Status;
use wire::ids::AccountId;

use crate::account::Account;
use crate::index::IndexError;
use crate::records::proto::MessageRow;
use crate::shard::Shard;
use crate::shard::body::{BodyError, StoredMessage};

/// Names the canonical form, should it ever change.
const FORM: &str = "palomar account 1";

const HOUR_MS: i64 = 3_600_000;

/// The digest of one account.
pub(super) struct Digest {
    pub(super) sum: Bytes,
    pub(super) messages: u64,
    pub(super) octets: u64,
}

/// Why an account cannot be read whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the account is gone")]
    Gone,
}

impl From<CopyError> for Status {
    fn from(error: CopyError) -> Self {
        tracing::error!(%error, "an account cannot be read");
        Status::data_loss(error.to_string())
    }
}

/// Reads all of the account, off the runtime's threads.
pub(super) async fn of(shard: &Shard, id: AccountId) -> Result<Digest, Status> {
    let shard = shard.clone();
    let digested = tokio::task::spawn_blocking(move || digest(&shard, id)).await;
    let stopping = |_| Status::unavailable("the shard is stopping");
    Ok(digested.map_err(stopping)??)
}

fn digest(shard: &Shard, id: AccountId) -> Result<Digest, CopyError> {
    let account = shard.index().account(id)?.ok_or(CopyError::Gone)?;
    let mut canonical = Canonical(Context::new(&SHA256));
    canonical.account(&account);
    let mut messages = 0;
    let mut octets = 0;
    for (number, mailbox) in &account.mailboxes {
        canonical.number(u64::from(*number));
        canonical.text(mailbox.name.as_bytes());
        canonical.number(u64::from(mailbox.uid_validity));
        canonical.number(u64::from(mailbox.uid_next));
        canonical.number(mailbox.highest_modseq);
        canonical.number(u64::from(mailbox.subscribed));
        canonical.number(mailbox.messages);
        for message in shard.index().messages(id, *number, 0) {
            let (uid, row) = message?;
            let mut stored = StoredMessage::new(shard.log().clone(), row.clone().into());
            canonical.number(u64::from(uid));
            canonical.message(&row, &mut stored)?;
            messages += 1;
            octets += stored.size();
        }
    }
    canonical.deliveries(shard, id)?;
    Ok(Digest {
        sum: Bytes::copy_from_slice(canonical.0.finish().as_ref()),
        messages,
        octets,
    })
}

struct Canonical(Context);

impl Canonical {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.update(text);
    }

    fn account(&mut self, account: &Account) {
        self.text(FORM.as_bytes());
        self.number(account.highest_modseq);
        self.number(u64::from(account.next_uid_validity));
        self.number(account.limits.bytes);
        self.number(account.limits.messages);
        self.number(account.mailboxes.len() as u64);
    }

    fn message(&mut self, row: &MessageRow, stored: &mut StoredMessage) -> Result<(), BodyError> {
        self.number(row.modseq);
        let mut flags = row.flags.clone();
        flags.sort();
        self.number(flags.len() as u64);
        flags.iter().for_each(|flag| self.text(flag.as_bytes()));
        self.0.update(&row.internal_date_ms.to_be_bytes());
        self.text(&stored.prefix()?);
        self.number(row.body_length);
        self.0.update(body_sha256(stored)?.as_ref());
        self.text(row.uidl.as_bytes());
        Ok(())
    }

    /// What is about to be forgotten does not count: one side may have done so already.
    fn deliveries(&mut self, shard: &Shard, id: AccountId) -> Result<(), CopyError> {
        let remembered = i64::try_from(shard.settings().remembered.as_millis());
        let oldest = kit::clock::unix_ms().saturating_sub(remembered.unwrap_or(i64::MAX));
        let cut = (oldest.div_euclid(HOUR_MS) + 1).saturating_mul(HOUR_MS);
        for delivery in shard.index().deliveries(id) {
            let (delivery, row) = delivery?;
            if row.stored_at_ms >= cut {
                self.0.update(delivery.as_bytes());
                self.0.update(&row.stored_at_ms.to_be_bytes());
                self.number(u64::from(row.uid_validity));
                self.number(u64::from(row.uid));
            }
        }
        Ok(())
    }
}

/// The body's SHA-256, read piece by piece.
pub(super) fn body_sha256(stored: &mut StoredMessage) -> Result<ring::digest::Digest, BodyError> {
    let mut sum = Context::new(&SHA256);
    let mut offset = 0;
    loop {
        let piece = stored.body(offset)?;
        if piece.is_empty() {
            return Ok(sum.finish());
        }
        sum.update(&piece);
        offset += piece.len() as u64;
    }
}
