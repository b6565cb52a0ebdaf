//! The transaction that plans a move: pure.

use wire::ids::{Epoch, IdError, MoveId, ShardName};
use wire::rpc::{AccountState, MovePhase};

use super::facts::{MoveFacts, Progress};
use super::transition::{AccountAt, MoveAt, Witness, move_key, put_account, put_move};
use crate::model::records::AccountRecord;
use crate::store::{Expect, Txn};

/// Why a move cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It is there already.
    #[error("{address} is on {shard} already")]
    SameShard {
        /// The account's address.
        address: String,
        /// Where it is.
        shard: String,
    },
    /// One move per account.
    #[error("{address} is being moved already (to {target}): wait for that, or abort it")]
    AlreadyMoving {
        /// The account's address.
        address: String,
        /// Where the open move goes.
        target: String,
    },
    /// The account's record names a shard that is no shard's name.
    #[error("the record of {address} cannot be read: {source}")]
    Record {
        /// The account's address.
        address: String,
        /// What is wrong.
        source: IdError,
    },
    /// Only Active and Removed accounts move.
    #[error("{address} is neither active nor removed, or its shard has not confirmed that yet")]
    NotActive {
        /// The account's address.
        address: String,
    },
}

/// A move that is to be planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: MoveId,
    pub(crate) target: &'a ShardName,
    /// What it is part of; empty: of nothing.
    pub(crate) plan: &'a str,
    /// Octets of the account, if known.
    pub(crate) bytes: Option<u64>,
    pub(crate) now_ms: i64,
}

/// Plans a move. `earlier` is the account's last move, `target_state` the key of the target's state
/// as it was read; the caller has seen that it is Active.
pub(crate) fn start(
    wanted: Wanted<'_>,
    account: &AccountAt,
    earlier: Option<&MoveAt>,
    target_state: Witness,
) -> Result<(MoveFacts, Txn), StartError> {
    let target = wanted.target;
    let address = || account.record.address.clone();
    if let Some(open) = earlier.filter(|earlier| earlier.facts.is_open()) {
        let target = open.facts.target.to_string();
        return Err(StartError::AlreadyMoving {
            address: address(),
            target,
        });
    }
    let moves = match account.record.state() {
        AccountState::Active | AccountState::Removed => !account.record.pending,
        AccountState::Creating | AccountState::Purging | AccountState::Unspecified => false,
    };
    if !moves {
        return Err(StartError::NotActive { address: address() });
    }
    if account.record.shard == target.as_str() {
        return Err(StartError::SameShard {
            address: address(),
            shard: target.to_string(),
        });
    }
    let facts = planned(wanted, account).map_err(|source| StartError::Record {
        address: address(),
        source,
    })?;
    let facts = facts.sized(wanted.bytes);
    let moving = AccountRecord {
        move_id: wanted.id.to_field(),
        ..account.record.clone()
    };
    let expected = earlier.map_or(Expect::Absent, |earlier| Expect::At(earlier.revision));
    let txn = Txn::new()
        .when(move_key(account.id), expected)
        .when(target_state.0.to_string(), Expect::At(target_state.1));
    Ok((
        facts.clone(),
        put_account(put_move(txn, &facts), account, moving),
    ))
}

fn planned(wanted: Wanted<'_>, account: &AccountAt) -> Result<MoveFacts, IdError> {
    Ok(MoveFacts {
        id: wanted.id,
        account: account.id,
        address: account.record.address.clone(),
        source: account.record.shard.parse()?,
        target: wanted.target.clone(),
        epoch: Epoch(account.record.epoch),
        phase: MovePhase::Planned,
        fence: None,
        evidence: None,
        progress: Progress::default(),
        copied_at_ms: 0,
        broken_off: 0,
        reason: String::new(),
        plan: wanted.plan.to_owned(),
        started_at_ms: wanted.now_ms,
        changed_at_ms: wanted.now_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::super::transition::tests::{account, at, expects, written_account};
    use super::*;
    use crate::model::Key;
    use crate::store::Revision;

    fn plan(account: &AccountAt, earlier: Option<&MoveAt>) -> Result<(MoveFacts, Txn), StartError> {
        let target: ShardName = "shard-2".parse().unwrap();
        let witness = (Key::ShardState(target.clone()), Revision(10));
        let wanted = Wanted {
            id: MoveId::from_bytes([1; 16]),
            target: &target,
            plan: "a plan",
            bytes: Some(700),
            now_ms: 1_000,
        };
        start(wanted, account, earlier, witness)
    }

    #[test]
    fn a_plan_names_all_it_was_decided_by() {
        let (facts, txn) = plan(&account(), None).unwrap();
        assert_eq!(facts.phase, MovePhase::Planned);
        assert_eq!(
            (facts.progress.total_bytes, facts.plan.as_str()),
            (700, "a plan")
        );
        assert!(expects(&txn, "moves/", Expect::Absent));
        assert!(expects(&txn, "accounts/", Expect::At(Revision(20))));
        assert!(expects(
            &txn,
            "shardstate/shard-2",
            Expect::At(Revision(10))
        ));
        assert_eq!(written_account(&txn).move_id, facts.id.to_field());
        assert_eq!(written_account(&txn).epoch, 6);
    }

    #[test]
    fn a_plan_replaces_only_a_move_that_is_over() {
        let error = plan(&account(), Some(&at(MovePhase::Verified))).unwrap_err();
        assert!(matches!(error, StartError::AlreadyMoving { .. }));
        let (_, txn) = plan(&account(), Some(&at(MovePhase::Done))).unwrap();
        assert!(expects(&txn, "moves/", Expect::At(Revision(30))));
    }

    #[test]
    fn only_active_and_removed_accounts_on_another_shard_move() {
        let mut there = account();
        there.record.shard = "shard-2".to_owned();
        assert!(matches!(
            plan(&there, None),
            Err(StartError::SameShard { .. })
        ));
        let with = |state, pending| {
            let mut account = account();
            account.record.set_state(state);
            account.record.pending = pending;
            plan(&account, None).is_ok()
        };
        assert!(with(AccountState::Removed, false));
        assert!(!with(AccountState::Removed, true));
        assert!(!with(AccountState::Creating, false));
        assert!(!with(AccountState::Purging, false));
    }
}
