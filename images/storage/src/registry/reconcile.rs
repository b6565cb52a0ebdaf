//! What the directory's word on an account asks of this shard. Pure.
//!
//! | directory | held here | what follows |
//! |---|---|---|
//! | Creating e | nothing | create at e, confirm CREATED |
//! | Creating e | anything < e: the volume was replaced | begin anew at e, confirm CREATED |
//! | Active e | Owner, Fenced, Released < e; Suspended ≤ e; finished Building < e | serve at e; begin anew if its UIDVALIDITYs are void |
//! | Active e | nothing, Tombstone < e, unfinished Building < e | a fault |
//! | Removed e | Owner, Fenced, Released, Suspended ≤ e; finished Building < e | suspend at e, confirm SUSPENDED |
//! | Removed e | anything else ≤ e | a fault, confirm MISSING |
//! | Purging e | anything ≤ e | drop, keep a tombstone at e, confirm DROPPED |
//! | another shard's, at e | Fenced < e | released at e |
//! | another shard's, at e | Owner, Suspended < e | a fault; nothing is served, nothing dropped |
//!
//! While other shards keep something of an Active account until this one has spoken, it confirms
//! SERVING once it has the account, and MISSING with the fault. What is Released has all that the
//! account had when it was fenced; it is served only after its new shard has lost it, or never had
//! it (`registry::debts` of the directory).
//!
//! What the shard has seen at a later epoch stands: the directory's replica is behind. That the
//! directory does not know an account is never a reason to drop it.

use std::str::FromStr as _;

use prost::Message as _;
use wire::ids::{AccountId, Epoch, IdError, MoveId, ShardName};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountEntry, AccountState};

use crate::account::Account;
use crate::account::access::{Assigned, Place};
use crate::account::command::word;
use crate::records::Change;
use crate::records::proto::{self, Holding};

/// The directory's word on an account, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The account.
    pub account: AccountId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its state.
    pub state: AccountState,
    /// The shard that has it, if it is not this one.
    pub elsewhere: Option<String>,
    /// Its soft limits.
    pub limits: proto::Limits,
    /// Seconds since 1970: the first UIDVALIDITY, and the lowest that is not void.
    pub uid_validity: u32,
    /// Shards that keep something of it until this one has spoken.
    pub keepers: Vec<String>,
}

/// An entry of the watch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// An id of the wrong size.
    #[error(transparent)]
    Id(#[from] IdError),
    /// No route, or a state of a later release.
    #[error("the directory's entry has no {0}")]
    Missing(&'static str),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// All is as it should be.
    Nothing,
    /// Make this durable, then confirm.
    Write(Change, Option<What>),
    /// It is durable: confirm.
    Confirm(What),
    /// A person must look; confirm nevertheless, where that harms nothing.
    Fault(String, Option<What>),
}

impl Word {
    /// Reads an entry as the shard `me`.
    pub fn read(entry: &AccountEntry, me: &ShardName) -> Result<Self, BadEntry> {
        let route = entry.route.as_ref().ok_or(BadEntry::Missing("route"))?;
        let state = entry.state();
        if state == AccountState::Unspecified {
            return Err(BadEntry::Missing("state"));
        }
        let quota = entry.quota.unwrap_or_default();
        Ok(Self {
            account: AccountId::from_slice(&route.account)?,
            epoch: Epoch(route.epoch),
            state,
            elsewhere: (route.shard != me.as_str()).then(|| route.shard.clone()),
            limits: proto::Limits {
                bytes: quota.bytes,
                messages: quota.messages,
            },
            uid_validity: u32::try_from(entry.uid_validity).unwrap_or(u32::MAX).max(1),
            keepers: entry.keepers.clone(),
        })
    }

    /// What requests go by.
    pub fn assigned(&self) -> Assigned {
        let place = match (&self.elsewhere, self.state) {
            (Some(_), _) => Place::Elsewhere,
            (None, AccountState::Creating) => Place::Creating,
            (None, AccountState::Active) => Place::Active,
            (None, _) => Place::Removed,
        };
        let epoch = self.epoch;
        Assigned { epoch, place }
    }

    /// Decides; `held` is what this shard is to the account.
    pub fn order(&self, held: Option<&Account>) -> Order {
        if held.is_some_and(|account| account.epoch > self.epoch) {
            return Order::Nothing;
        }
        if let Some(shard) = &self.elsewhere {
            return self.elsewhere(shard, held);
        }
        match self.state {
            AccountState::Creating => self.creating(held),
            AccountState::Active => self.active(held),
            AccountState::Removed => self.removed(held),
            AccountState::Purging => self.purging(held),
            AccountState::Unspecified => Order::Nothing,
        }
    }

    fn creating(&self, held: Option<&Account>) -> Order {
        match held {
            None => {
                let created = proto::Created {
                    epoch: self.epoch.0,
                    uid_validity: self.uid_validity,
                    limits: Some(self.limits),
                };
                Order::Write(Change::Created(created), Some(What::Created))
            }
            Some(account) if account.epoch < self.epoch => self.begin_anew(Some(What::Created)),
            Some(account) if account.holding == Holding::Owner => Order::Confirm(What::Created),
            Some(_) => self.fault(held, None),
        }
    }

    fn active(&self, held: Option<&Account>) -> Order {
        let waited_for = |what| (!self.keepers.is_empty()).then_some(what);
        let (serving, missing) = (waited_for(What::Serving), waited_for(What::Missing));
        let Some(account) = held else {
            return self.fault(held, missing);
        };
        let behind = account.epoch < self.epoch;
        match account.holding {
            // Removed when the volume was replaced, and restored since.
            _ if behind && account.has_data() && account.is_void(self.uid_validity) => {
                self.begin_anew(serving)
            }
            Holding::Owner | Holding::Fenced | Holding::Released if behind => {
                self.become_(Holding::Owner, serving)
            }
            Holding::Owner | Holding::Fenced => self.limits_of(account, serving),
            Holding::Suspended => self.become_(Holding::Owner, serving),
            Holding::Building if behind && account.imported.is_some() => {
                self.become_(Holding::Owner, serving)
            }
            Holding::Building | Holding::Tombstone | Holding::Unspecified if behind => {
                self.fault(held, missing)
            }
            Holding::Building | Holding::Released | Holding::Tombstone | Holding::Unspecified => {
                Order::Nothing
            }
        }
    }

    fn removed(&self, held: Option<&Account>) -> Order {
        let (confirm, missing) = (Some(What::Suspended), Some(What::Missing));
        let Some(account) = held else {
            return self.fault(held, missing);
        };
        match account.holding {
            Holding::Suspended if account.epoch == self.epoch => Order::Confirm(What::Suspended),
            Holding::Owner | Holding::Fenced | Holding::Released | Holding::Suspended => {
                self.become_(Holding::Suspended, confirm)
            }
            Holding::Building if account.imported.is_some() => {
                self.become_(Holding::Suspended, confirm)
            }
            Holding::Building | Holding::Tombstone | Holding::Unspecified => {
                self.fault(held, missing)
            }
        }
    }

    fn purging(&self, held: Option<&Account>) -> Order {
        match held {
            Some(account) if account.holding == Holding::Tombstone => Order::Confirm(What::Dropped),
            _ => self.become_(Holding::Tombstone, Some(What::Dropped)),
        }
    }

    fn elsewhere(&self, shard: &str, held: Option<&Account>) -> Order {
        let Some(account) = held.filter(|account| account.epoch < self.epoch) else {
            return Order::Nothing;
        };
        match account.holding {
            Holding::Fenced => {
                let released = proto::Ownership {
                    epoch: self.epoch.0,
                    holding: Holding::Released.into(),
                    move_id: account.move_id.map(MoveId::to_field).unwrap_or_default(),
                    peer: shard.to_owned(),
                };
                Order::Write(Change::Ownership(released), None)
            }
            Holding::Owner | Holding::Suspended => self.fault(held, None),
            _ => Order::Nothing,
        }
    }

    fn begin_anew(&self, confirm: Option<What>) -> Order {
        let renewed = proto::Renewed {
            epoch: self.epoch.0,
            uid_validity: self.uid_validity,
        };
        Order::Write(Change::Renewed(renewed), confirm)
    }

    fn become_(&self, holding: Holding, confirm: Option<What>) -> Order {
        let ownership = proto::Ownership {
            epoch: self.epoch.0,
            holding: holding.into(),
            ..proto::Ownership::default()
        };
        Order::Write(Change::Ownership(ownership), confirm)
    }

    fn limits_of(&self, account: &Account, confirm: Option<What>) -> Order {
        match (account.limits == self.limits, confirm) {
            (true, None) => Order::Nothing,
            (true, Some(what)) => Order::Confirm(what),
            (false, confirm) => Order::Write(Change::Limits(self.limits), confirm),
        }
    }

    fn fault(&self, held: Option<&Account>, confirm: Option<What>) -> Order {
        let here = match held {
            None => "the shard has nothing of it".to_owned(),
            Some(account) => {
                let holding = word(account.holding);
                format!("the shard is its {holding} at epoch {}", account.epoch)
            }
        };
        let place = self.elsewhere.as_deref().unwrap_or("here");
        let Self { epoch, state, .. } = self;
        let text = format!("the directory says {state:?} at {place}, epoch {epoch}, and {here}");
        Order::Fault(text, confirm)
    }
}

/// Feeds any octets as an entry of the watch; what is read is decided.
pub(crate) fn fuzz(data: &[u8]) {
    let me = ShardName::from_str("shard-1");
    let (Ok(entry), Ok(me)) = (AccountEntry::decode(data), me) else {
        return;
    };
    if let Ok(word) = Word::read(&entry, &me) {
        let fault = matches!(word.order(None), Order::Fault(..));
        assert!(!fault || word.elsewhere.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::held;

    fn said(epoch: u64, state: AccountState, elsewhere: bool) -> Word {
        Word {
            account: AccountId::from_bytes([3; 16]),
            epoch: Epoch(epoch),
            state,
            elsewhere: elsewhere.then(|| "other".to_owned()),
            limits: proto::Limits::default(),
            uid_validity: 7,
            keepers: Vec::new(),
        }
    }

    fn summary(order: Order) -> String {
        let confirmed = |what: Option<What>| match what {
            Some(What::Created) => "+created",
            Some(What::Suspended) => "+suspended",
            Some(What::Dropped) => "+dropped",
            Some(What::Serving) => "+serving",
            Some(What::Missing) => "+missing",
            _ => "",
        };
        match order {
            Order::Nothing => "-".to_owned(),
            Order::Confirm(what) => confirmed(Some(what)).to_owned(),
            Order::Fault(_, confirm) => format!("fault{}", confirmed(confirm)),
            Order::Write(Change::Created(_), confirm) => format!("create{}", confirmed(confirm)),
            Order::Write(Change::Renewed(_), confirm) => format!("anew{}", confirmed(confirm)),
            Order::Write(Change::Limits(_), _) => "limits".to_owned(),
            Order::Write(Change::Ownership(ownership), confirm) => {
                format!("{}{}", word(ownership.holding()), confirmed(confirm))
            }
            Order::Write(change, _) => format!("{change:?}"),
        }
    }

    /// What follows at epochs 4, 5 and 6 from what is held at epoch 5.
    fn row(holding: Option<Holding>, state: AccountState, elsewhere: bool) -> String {
        let account = holding.map(|holding| held(holding, 5, Some(MoveId::from_bytes([1; 16]))));
        let at = |epoch| summary(said(epoch, state, elsewhere).order(account.as_ref()));
        [4, 5, 6].map(at).join(" ")
    }

    #[test]
    fn the_table() {
        use AccountState::{Active, Creating, Purging, Removed};
        use Holding::{Building, Fenced, Owner, Released, Suspended, Tombstone};
        for (holding, state, expected) in [
            (
                None,
                Creating,
                "create+created create+created create+created",
            ),
            (None, Active, "fault fault fault"),
            (None, Removed, "fault+missing fault+missing fault+missing"),
            (
                None,
                Purging,
                "tombstone+dropped tombstone+dropped tombstone+dropped",
            ),
            (Some(Owner), Creating, "- +created anew+created"),
            (Some(Owner), Active, "- - owner"),
            (
                Some(Owner),
                Removed,
                "- suspended+suspended suspended+suspended",
            ),
            (
                Some(Owner),
                Purging,
                "- tombstone+dropped tombstone+dropped",
            ),
            (Some(Fenced), Active, "- - owner"),
            (
                Some(Fenced),
                Removed,
                "- suspended+suspended suspended+suspended",
            ),
            (Some(Suspended), Active, "- owner owner"),
            (Some(Suspended), Removed, "- +suspended suspended+suspended"),
            (Some(Building), Active, "- - fault"),
            (Some(Building), Removed, "- fault+missing fault+missing"),
            (Some(Released), Active, "- - owner"),
            (
                Some(Released),
                Removed,
                "- suspended+suspended suspended+suspended",
            ),
            (Some(Released), Creating, "- fault anew+created"),
            (Some(Building), Creating, "- fault anew+created"),
            (Some(Tombstone), Creating, "- fault anew+created"),
            (Some(Tombstone), Active, "- - fault"),
            (Some(Tombstone), Purging, "- +dropped +dropped"),
        ] {
            assert_eq!(
                row(holding, state, false),
                expected,
                "{holding:?} {state:?}"
            );
        }
        for (holding, expected) in [
            (Some(Fenced), "- - released"),
            (Some(Owner), "- - fault"),
            (Some(Suspended), "- - fault"),
            (Some(Released), "- - -"),
            (Some(Building), "- - -"),
            (None, "- - -"),
        ] {
            assert_eq!(
                row(holding, Active, true),
                expected,
                "{holding:?} elsewhere"
            );
        }
    }

    #[test]
    fn a_finished_import_is_activated() {
        let mut account = Some(held(Holding::Building, 5, None));
        let finished = Change::ImportFinished(proto::ImportFinished::default());
        Account::apply(&mut account, &finished).unwrap();
        let order = said(6, AccountState::Active, false).order(account.as_ref());
        assert_eq!(summary(order), "owner");
    }

    #[test]
    fn whoever_is_waited_for_speaks() {
        use Holding::{Building, Owner, Released, Tombstone};
        let at = |holding: Option<Holding>, epoch| {
            let account = holding.map(|holding| held(holding, 5, None));
            let mut word = said(epoch, AccountState::Active, false);
            word.keepers.push("other".to_owned());
            summary(word.order(account.as_ref()))
        };
        for (holding, same, later) in [
            (Some(Owner), "+serving", "owner+serving"),
            (Some(Released), "-", "owner+serving"),
            (Some(Building), "-", "fault+missing"),
            (Some(Tombstone), "-", "fault+missing"),
            (None, "fault+missing", "fault+missing"),
        ] {
            assert_eq!(at(holding, 5), same, "{holding:?}");
            assert_eq!(at(holding, 6), later, "{holding:?}");
        }
    }

    #[test]
    fn limits_follow_the_directory() {
        let mut word = said(5, AccountState::Active, false);
        word.limits.bytes = 7;
        let account = held(Holding::Owner, 5, None);
        assert_eq!(summary(word.order(Some(&account))), "limits");
    }
}
