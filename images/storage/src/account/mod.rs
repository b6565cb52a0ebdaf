//! The state machine of one account: counters, mailboxes, and what this shard is to it.
//!
//! Pure. The same `apply` runs when a change is decided, when it is indexed after its sync, and
//! when the heap is replayed; so a decision, the index and a recovery cannot differ.

use std::collections::BTreeMap;

use segments::Position;
use wire::ids::{Epoch, MoveId};

use crate::records::proto::{self, Holding};
use crate::records::{Change, Imported, Target};

pub mod access;
pub mod command;
mod row;

/// INBOX: every account has it.
pub const INBOX: u32 = 0;

/// One account as this shard knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// What this shard is to the account.
    pub holding: Holding,
    /// Since which epoch.
    pub epoch: Epoch,
    /// The move that the holding is about.
    pub move_id: Option<MoveId>,
    /// The other shard of that move; empty: none.
    pub peer: String,
    /// Soft limits; 0 is none.
    pub limits: proto::Limits,
    /// The last change number; every change of mailboxes or messages takes the next.
    pub highest_modseq: u64,
    /// What the next mailbox gets; only rises.
    pub next_uid_validity: u32,
    /// By mailbox number.
    pub mailboxes: BTreeMap<u32, Mailbox>,
    /// Where its data came from, once that is all here.
    pub imported: Option<proto::ImportedFrom>,
    /// The last record that changed it; the index's business.
    pub changed: Position,
}

/// One mailbox of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its name; INBOX is "INBOX".
    pub name: String,
    /// IMAP UIDVALIDITY.
    pub uid_validity: u32,
    /// The UID of the next message; UIDs never return.
    pub uid_next: u32,
    /// The last change number here.
    pub highest_modseq: u64,
    /// Whether the user subscribed to it.
    pub subscribed: bool,
    /// Messages in it.
    pub messages: u64,
    /// Their prefixes and bodies.
    pub octets: u64,
}

/// A record that does not follow from those before it: heap or index is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not follow from those before it: {0}")]
pub struct Inconsistent(pub &'static str);

/// A mailbox that can take no more messages: its UIDs, or change numbers, are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox has no UID left")]
pub struct Exhausted;

/// What an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prefixes and bodies of live messages.
    pub octets: u64,
    /// Live messages.
    pub messages: u64,
}

impl Account {
    fn empty(holding: Holding, epoch: Epoch) -> Self {
        Self {
            holding,
            epoch,
            move_id: None,
            peer: String::new(),
            limits: proto::Limits::default(),
            highest_modseq: 0,
            next_uid_validity: 1,
            mailboxes: BTreeMap::new(),
            imported: None,
            changed: Position {
                segment: 0,
                offset: 0,
            },
        }
    }

    /// UID and change number of the next message of `mailbox`.
    pub fn next_message(&self, mailbox: u32) -> Result<(u32, u64), Exhausted> {
        let uid = self.mailboxes.get(&mailbox).ok_or(Exhausted)?.uid_next;
        if uid == u32::MAX {
            return Err(Exhausted);
        }
        Ok((uid, self.highest_modseq + 1))
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        self.mailboxes
            .values()
            .fold(Usage::default(), |sum, mailbox| Usage {
                octets: sum.octets + mailbox.octets,
                messages: sum.messages + mailbox.messages,
            })
    }

    /// Whether it is over its soft limits.
    pub fn is_over_quota(&self) -> bool {
        let usage = self.usage();
        let over = |used: u64, limit: u64| limit > 0 && used > limit;
        over(usage.octets, self.limits.bytes) || over(usage.messages, self.limits.messages)
    }

    /// Whether it counts: the shard has its data and may have to serve it.
    pub fn is_held(&self) -> bool {
        use Holding::{Fenced, Owner, Suspended};
        matches!(self.holding, Owner | Fenced | Suspended)
    }

    /// Whether there is anything of it that could be served, now or later.
    pub fn has_data(&self) -> bool {
        match self.holding {
            Holding::Owner | Holding::Fenced | Holding::Suspended | Holding::Released => true,
            Holding::Building => self.imported.is_some(),
            Holding::Tombstone | Holding::Unspecified => false,
        }
    }

    /// Whether a mailbox has a UIDVALIDITY below this.
    pub fn is_void(&self, uid_validity: u32) -> bool {
        let mut mailboxes = self.mailboxes.values();
        mailboxes.any(|mailbox| mailbox.uid_validity < uid_validity)
    }

    /// Whether sessions may read it.
    pub fn serves(&self) -> bool {
        matches!(self.holding, Holding::Owner | Holding::Fenced)
    }

    /// A message was stored for it.
    pub fn apply_target(&mut self, target: &Target, octets: u64) -> Result<(), Inconsistent> {
        let modseq = self.take_modseq(target.modseq)?;
        let mailbox = self.mailbox(target.mailbox)?;
        if target.uid != mailbox.uid_next || target.uid == u32::MAX {
            return Err(Inconsistent("a UID is not the next one"));
        }
        mailbox.uid_next += 1;
        mailbox.highest_modseq = modseq;
        mailbox.messages += 1;
        mailbox.octets += octets;
        Ok(())
    }

    /// A move brought a message.
    pub fn apply_imported(&mut self, imported: &Imported) -> Result<(), Inconsistent> {
        self.must_be_building()?;
        let mailbox = self.mailbox(imported.mailbox)?;
        if imported.uid >= mailbox.uid_next {
            return Err(Inconsistent("an imported UID is not below UIDNEXT"));
        }
        mailbox.messages += 1;
        mailbox.octets += u64::from(imported.prefix_length) + imported.body_length;
        Ok(())
    }

    /// Applies a change to what may not exist yet.
    pub fn apply(slot: &mut Option<Self>, change: &Change) -> Result<(), Inconsistent> {
        match (slot.as_mut(), change) {
            (None, Change::Created(created)) => {
                *slot = Some(Self::created(created));
                Ok(())
            }
            (Some(_), Change::Created(_)) => Err(Inconsistent("created twice")),
            (_, Change::Ownership(ownership)) => Self::apply_ownership(slot, ownership),
            (Some(account), Change::Renewed(renewed)) => account.apply_renewed(renewed),
            (Some(account), change) => account.apply_to_existing(change),
            (None, _) => Err(Inconsistent("a change of no account")),
        }
    }

    fn created(created: &proto::Created) -> Self {
        let mut account = Self::empty(Holding::Owner, Epoch(created.epoch));
        account.limits = created.limits.unwrap_or_default();
        account.next_uid_validity = created.uid_validity.saturating_add(1);
        let inbox = Mailbox {
            name: "INBOX".to_owned(),
            uid_validity: created.uid_validity,
            uid_next: 1,
            highest_modseq: 0,
            subscribed: true,
            messages: 0,
            octets: 0,
        };
        account.mailboxes.insert(INBOX, inbox);
        account
    }

    fn apply_ownership(
        slot: &mut Option<Self>,
        ownership: &proto::Ownership,
    ) -> Result<(), Inconsistent> {
        let epoch = Epoch(ownership.epoch);
        let holding = ownership.holding();
        if slot.as_ref().is_some_and(|account| account.epoch > epoch) {
            return Err(Inconsistent("an epoch falls"));
        }
        let account = match (slot.as_mut(), empties(holding)) {
            (_, true) => slot.insert(Self::empty(holding, epoch)),
            (Some(account), false) => account,
            (None, false) => return Err(Inconsistent("ownership of no account")),
        };
        account.holding = holding;
        account.epoch = epoch;
        account.move_id = MoveId::from_slice(&ownership.move_id).ok();
        account.peer.clone_from(&ownership.peer);
        Ok(())
    }

    /// What is there of it is served again, under UIDVALIDITYs that nobody knows; where nothing is,
    /// it is new.
    fn apply_renewed(&mut self, renewed: &proto::Renewed) -> Result<(), Inconsistent> {
        if self.epoch.0 >= renewed.epoch {
            return Err(Inconsistent("an epoch does not rise"));
        }
        if !self.has_data() {
            *self = Self::created(&proto::Created {
                epoch: renewed.epoch,
                uid_validity: renewed.uid_validity,
                limits: Some(self.limits),
            });
            return Ok(());
        }
        self.holding = Holding::Owner;
        self.epoch = Epoch(renewed.epoch);
        self.move_id = None;
        self.peer.clear();
        self.next_uid_validity = self.next_uid_validity.max(renewed.uid_validity);
        for mailbox in self.mailboxes.values_mut() {
            mailbox.uid_validity = self.next_uid_validity;
            self.next_uid_validity = self.next_uid_validity.saturating_add(1);
        }
        Ok(())
    }

    fn apply_to_existing(&mut self, change: &Change) -> Result<(), Inconsistent> {
        match change {
            Change::Expunged(expunged) => self.apply_expunged(expunged),
            Change::FlagsChanged(changed) => {
                let modseq = self.take_modseq(changed.modseq)?;
                self.mailbox(changed.mailbox)?.highest_modseq = modseq;
                Ok(())
            }
            Change::Limits(limits) => {
                self.limits = *limits;
                Ok(())
            }
            Change::MailboxImported(imported) => self.apply_mailbox(imported),
            Change::DeliveriesImported(_) => self.must_be_building(),
            Change::ImportFinished(finished) => self.apply_finished(finished),
            Change::Created(_) | Change::Ownership(_) | Change::Renewed(_) => {
                Err(Inconsistent("applied elsewhere"))
            }
        }
    }

    fn apply_expunged(&mut self, expunged: &proto::Expunged) -> Result<(), Inconsistent> {
        let modseq = self.take_modseq(expunged.modseq)?;
        let mailbox = self.mailbox(expunged.mailbox)?;
        let few = Inconsistent("more is expunged than there is");
        let gone = expunged.uids.len() as u64;
        mailbox.messages = mailbox.messages.checked_sub(gone).ok_or(few)?;
        mailbox.octets = mailbox.octets.checked_sub(expunged.octets).ok_or(few)?;
        mailbox.highest_modseq = modseq;
        Ok(())
    }

    fn apply_mailbox(&mut self, imported: &proto::MailboxImported) -> Result<(), Inconsistent> {
        self.must_be_building()?;
        let mailbox = Mailbox {
            name: imported.name.clone(),
            uid_validity: imported.uid_validity,
            uid_next: imported.uid_next,
            highest_modseq: imported.highest_modseq,
            subscribed: imported.subscribed,
            messages: 0,
            octets: 0,
        };
        match self.mailboxes.insert(imported.mailbox, mailbox) {
            None => Ok(()),
            Some(_) => Err(Inconsistent("a mailbox is imported twice")),
        }
    }

    fn apply_finished(&mut self, finished: &proto::ImportFinished) -> Result<(), Inconsistent> {
        self.must_be_building()?;
        self.highest_modseq = finished.highest_modseq;
        self.next_uid_validity = finished.next_uid_validity;
        self.limits = finished.limits.unwrap_or_default();
        self.imported = Some(proto::ImportedFrom {
            source_incarnation: finished.source_incarnation,
            change_number: finished.change_number,
        });
        Ok(())
    }

    fn must_be_building(&self) -> Result<(), Inconsistent> {
        match (self.holding, &self.imported) {
            (Holding::Building, None) => Ok(()),
            _ => Err(Inconsistent(
                "an import into an account that is not being built",
            )),
        }
    }

    fn mailbox(&mut self, number: u32) -> Result<&mut Mailbox, Inconsistent> {
        self.mailboxes
            .get_mut(&number)
            .ok_or(Inconsistent("a change of no mailbox"))
    }

    fn take_modseq(&mut self, modseq: u64) -> Result<u64, Inconsistent> {
        if modseq != self.highest_modseq + 1 {
            return Err(Inconsistent("a change number is not the next one"));
        }
        self.highest_modseq = modseq;
        Ok(modseq)
    }
}

/// Whether becoming this drops all data.
pub fn empties(holding: Holding) -> bool {
    matches!(holding, Holding::Building | Holding::Tombstone)
}

#[cfg(test)]
pub(crate) mod tests;
