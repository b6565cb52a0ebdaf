//! What two shards compare before an account is switched: SHA-256 over all that must survive.
//!
//! In this order, numbers big-endian, texts and lists with their length before them: last change
//! number, next UIDVALIDITY, limits; each mailbox by number with its fields and each of its
//! messages by UID; each remembered delivery by id. A message enters by the sum of its prefix and
//! body that the index has, so no body is read: the target has checked each against the source's
//! SHA-256 when it came, and what is read later is checked against the same sums.

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use tonic::Status;
use wire::ids::AccountId;

use super::CopyError;
use crate::account::Account;
use crate::index::Index;
use crate::records::proto::MessageRow;

/// Names the canonical form, should it ever change.
const FORM: &str = "buzonera account 2";

/// The digest of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) sum: Bytes,
    pub(super) messages: u64,
    pub(super) octets: u64,
}

/// Reads all of the account's rows, off the runtime's threads.
pub(super) async fn of(index: Index, id: AccountId) -> Result<Digest, Status> {
    Ok(kit::task::blocking(move || digest(&index, id)).await??)
}

fn digest(index: &Index, id: AccountId) -> Result<Digest, CopyError> {
    let account = index.account(id)?.ok_or(CopyError::Gone)?;
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
        for message in index.messages(id, *number, 0) {
            let (uid, row) = message?;
            canonical.number(u64::from(uid));
            messages += 1;
            octets += u64::from(row.prefix_length) + row.body_length;
            canonical.message(row);
        }
    }
    canonical.deliveries(index, id)?;
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

    fn message(&mut self, row: MessageRow) {
        self.number(row.modseq);
        let mut flags = row.flags;
        flags.sort();
        self.number(flags.len() as u64);
        flags.iter().for_each(|flag| self.text(flag.as_bytes()));
        self.0.update(&row.internal_date_ms.to_be_bytes());
        self.number(u64::from(row.prefix_length));
        self.number(row.body_length);
        self.number(row.sum);
        self.text(row.uidl.as_bytes());
    }

    fn deliveries(&mut self, index: &Index, id: AccountId) -> Result<(), CopyError> {
        for delivery in index.deliveries(id) {
            let (delivery, row) = delivery?;
            self.0.update(delivery.as_bytes());
            self.0.update(&row.stored_at_ms.to_be_bytes());
            self.number(u64::from(row.uid_validity));
            self.number(u64::from(row.uid));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::writer::tests::Indexed;
    use crate::records::Change;
    use crate::records::proto::{Expunged, FlagsChanged, Limits};

    const ID: AccountId = AccountId::from_bytes([1; 16]);

    /// The digest of an account with two messages, after `change`.
    fn after(change: impl FnOnce(&mut Indexed)) -> Digest {
        let mut indexed = Indexed::new();
        indexed.create(ID);
        indexed.deliver(ID, 1, "To: a\r\n", b"one", 1000);
        change(&mut indexed);
        digest(&indexed.index(), ID).unwrap()
    }

    fn second(id: u8, prefix: &str, body: &[u8], at: i64) -> Digest {
        after(|indexed| indexed.deliver(ID, id, prefix, body, at))
    }

    #[test]
    fn everything_counts() {
        let same = second(2, "p", b"two", 2000);
        let elsewhere = after(|indexed| {
            indexed.next += 4096;
            indexed.deliver(ID, 2, "p", b"two", 2000);
        });
        assert_eq!(elsewhere, same, "where it is in the heap does not count");
        assert_eq!((same.messages, same.octets), (2, 3 + 7 + 1 + 3));
        let changed = |change| after(|indexed| indexed.change(ID, change));
        let flags = |uids| FlagsChanged {
            uids,
            modseq: 2,
            flags: vec!["\\Seen".to_owned()],
            ..FlagsChanged::default()
        };
        let others = [
            after(|_| {}),
            second(3, "p", b"two", 2000),
            second(2, "q", b"two", 2000),
            second(2, "p", b"tow", 2000),
            second(2, "pt", b"wo", 2000),
            second(2, "p", b"two", 2001),
            changed(Change::FlagsChanged(flags(vec![1]))),
            changed(Change::FlagsChanged(flags(vec![]))),
            changed(Change::Limits(Limits {
                bytes: 1,
                messages: 0,
            })),
            changed(Change::Expunged(Expunged {
                uids: vec![1],
                modseq: 2,
                octets: 10,
                ..Expunged::default()
            })),
        ];
        for (at, one) in others.iter().enumerate() {
            assert_ne!(one.sum, same.sum, "{at}");
            for (other, two) in others.iter().enumerate() {
                assert!(at == other || one.sum != two.sum, "{at} {other}");
            }
        }
    }
}
