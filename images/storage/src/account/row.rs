//! An account as the index keeps it.

use segments::Position;
use wire::ids::{Epoch, MoveId};

use super::{Account, Mailbox};
use crate::records::proto;

impl From<Position> for proto::At {
    fn from(position: Position) -> Self {
        Self {
            segment: position.segment,
            offset: position.offset,
        }
    }
}

impl From<proto::At> for Position {
    fn from(at: proto::At) -> Self {
        Self {
            segment: at.segment,
            offset: at.offset,
        }
    }
}

impl From<&Account> for proto::AccountRow {
    fn from(account: &Account) -> Self {
        Self {
            holding: account.holding.into(),
            epoch: account.epoch.0,
            move_id: account.move_id.map(MoveId::to_field).unwrap_or_default(),
            peer: account.peer.clone(),
            limits: Some(account.limits),
            highest_modseq: account.highest_modseq,
            next_uid_validity: account.next_uid_validity,
            imported: account.imported,
            changed: Some(account.changed.into()),
        }
    }
}

impl From<proto::AccountRow> for Account {
    /// Without its mailboxes: they have rows of their own.
    fn from(row: proto::AccountRow) -> Self {
        Self {
            holding: row.holding(),
            epoch: Epoch(row.epoch),
            move_id: MoveId::from_slice(&row.move_id).ok(),
            peer: row.peer,
            limits: row.limits.unwrap_or_default(),
            highest_modseq: row.highest_modseq,
            next_uid_validity: row.next_uid_validity,
            mailboxes: Default::default(),
            imported: row.imported,
            changed: row.changed.unwrap_or_default().into(),
        }
    }
}

impl From<&Mailbox> for proto::MailboxRow {
    fn from(mailbox: &Mailbox) -> Self {
        Self {
            name: mailbox.name.clone(),
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
            subscribed: mailbox.subscribed,
            messages: mailbox.messages,
            octets: mailbox.octets,
        }
    }
}

impl From<proto::MailboxRow> for Mailbox {
    fn from(row: proto::MailboxRow) -> Self {
        Self {
            name: row.name,
            uid_validity: row.uid_validity,
            uid_next: row.uid_next,
            highest_modseq: row.highest_modseq,
            subscribed: row.subscribed,
            messages: row.messages,
            octets: row.octets,
        }
    }
}
