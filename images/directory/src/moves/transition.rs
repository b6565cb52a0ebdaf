//! The transactions that change a move's record: pure.
//!
//! Each names the revisions that it was decided by, so whatever happened in between makes it a
//! conflict, and the driver reads again.

use prost::Message as _;
use wire::ids::{AccountId, Epoch, ShardName};
use wire::rpc::MovePhase;

use super::facts::{Evidence, Fence, MoveFacts, Progress};
use crate::model::Key;
use crate::model::records::{AccountRecord, DebtRecord, MoveRecord};
use crate::store::{Expect, Revision, Txn};

/// A move as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveAt {
    /// The move.
    pub facts: MoveFacts,
    /// The transaction that last wrote it.
    pub revision: Revision,
}

/// An account as it stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountAt {
    /// The account.
    pub id: AccountId,
    /// Its record.
    pub record: AccountRecord,
    /// The transaction that last wrote it.
    pub revision: Revision,
}

/// Keys that have to be as they were read, beside the move's and the account's own.
pub(crate) type Witness = (Key, Revision);

impl MoveFacts {
    /// The move at the beginning of its next phase.
    pub(crate) fn enter(&self, phase: MovePhase, now_ms: i64) -> Self {
        Self {
            phase,
            reason: String::new(),
            changed_at_ms: now_ms,
            ..self.clone()
        }
    }

    /// The account has so many octets, if that is known.
    pub(crate) fn sized(&self, bytes: Option<u64>) -> Self {
        let progress = Progress {
            total_bytes: bytes.unwrap_or(self.progress.total_bytes),
            ..self.progress
        };
        Self {
            progress,
            ..self.clone()
        }
    }

    /// The move as it is, and what it waits for.
    pub(crate) fn waiting_for(&self, reason: String) -> Self {
        Self {
            reason,
            ..self.clone()
        }
    }

    /// The source has been fenced.
    pub(crate) fn fenced(&self, fence: Fence) -> Self {
        Self {
            fence: Some(fence),
            evidence: None,
            reason: String::new(),
            ..self.clone()
        }
    }

    /// The copy has come so far. What differs from before is news: an import begins from nothing, so
    /// less than before is the next one's beginning.
    pub(crate) fn copied(&self, progress: Progress, now_ms: i64) -> Self {
        let so_far = |progress: &Progress| (progress.messages, progress.bytes);
        let is_news = progress.has_begun() && so_far(&progress) != so_far(&self.progress);
        Self {
            progress,
            copied_at_ms: if is_news { now_ms } else { self.copied_at_ms },
            ..self.clone()
        }
    }

    /// The fence has to be asked again, and a copy that had begun has broken off. The time in Fencing
    /// goes on, so that it can run out.
    pub(crate) fn unfenced(&self, reason: String) -> Self {
        let (fence, evidence, phase) = (None, None, MovePhase::Fencing);
        let progress = Progress {
            messages: 0,
            bytes: 0,
            ..self.progress
        };
        Self {
            fence,
            evidence,
            phase,
            progress,
            broken_off: self.broken_off_with_this(),
            reason,
            ..self.clone()
        }
    }

    /// Source and target agree.
    pub(crate) fn verified(&self, evidence: Evidence, progress: Progress, now_ms: i64) -> Self {
        let evidence = Some(evidence);
        Self {
            evidence,
            progress,
            ..self.enter(MovePhase::Verified, now_ms)
        }
    }
}

/// Writes a move that changed alone.
pub(crate) fn rewrite(current: &MoveAt, next: &MoveFacts) -> Txn {
    rewrite_within(Txn::new(), current, next)
}

/// Writes a move in a transaction that writes more.
pub(crate) fn rewrite_within(txn: Txn, current: &MoveAt, next: &MoveFacts) -> Txn {
    put_move(unchanged(txn, current), next)
}

/// The commit point: the account is the target's, one epoch later, and the source owes. `witnesses`
/// are the target's state and both shards' records, seen to be Active and of the incarnations
/// verified.
pub(crate) fn switch(
    current: &MoveAt,
    account: &AccountAt,
    witnesses: Vec<Witness>,
    now_ms: i64,
) -> Txn {
    let facts = &current.facts;
    let switched = AccountRecord {
        shard: facts.target.to_string(),
        epoch: facts.epoch.next().0,
        placement: format!("moved from {}", facts.source),
        move_id: Default::default(),
        ..account.record.clone()
    };
    let txn = witnesses
        .into_iter()
        .fold(unchanged(Txn::new(), current), |txn, (key, revision)| {
            txn.when(key.to_string(), Expect::At(revision))
        });
    let txn = put_move(txn, &facts.enter(MovePhase::Done, now_ms));
    let txn = put_account(txn, account, switched);
    let debt = DebtRecord {
        peer: facts.target.to_string(),
        whole: true,
        ..debt(facts, now_ms)
    };
    put_debt(txn, &facts.source, facts.account, &debt)
}

/// Ends an open move: the account stays, one epoch later.
pub(crate) fn abort(current: &MoveAt, account: &AccountAt, reason: String, now_ms: i64) -> Txn {
    let stays = AccountRecord {
        epoch: Epoch(account.record.epoch).next().0,
        move_id: Default::default(),
        ..account.record.clone()
    };
    let txn = abort_within(Txn::new(), current, reason, now_ms);
    put_account(txn, account, stays)
}

/// Aborts an open move in a transaction that also writes the account's record, without the move and
/// with the epoch after the one it had. A target that was never told to prepare owes nothing.
pub(crate) fn abort_within(txn: Txn, current: &MoveAt, reason: String, now_ms: i64) -> Txn {
    let facts = &current.facts;
    let txn = rewrite_within(txn, current, &aborted(facts, reason, now_ms));
    if facts.phase == MovePhase::Planned {
        return txn;
    }
    let debt = DebtRecord {
        peer: facts.source.to_string(),
        whole: false,
        ..debt(facts, now_ms)
    };
    put_debt(txn, &facts.target, facts.account, &debt)
}

/// The move as it is once aborted.
pub(crate) fn aborted(facts: &MoveFacts, reason: String, now_ms: i64) -> MoveFacts {
    MoveFacts {
        reason,
        ..facts.enter(MovePhase::Aborted, now_ms)
    }
}

/// To have nothing of before the decision.
fn debt(facts: &MoveFacts, now_ms: i64) -> DebtRecord {
    DebtRecord {
        move_id: facts.id.to_field(),
        epoch: facts.epoch.next().0,
        since_ms: now_ms,
        ..DebtRecord::default()
    }
}

/// No other debt of this shard can be there: before its part in the move it had paid them.
fn put_debt(txn: Txn, shard: &ShardName, account: AccountId, debt: &DebtRecord) -> Txn {
    let key = Key::Debt(shard.clone(), account).to_string();
    txn.when(key.clone(), Expect::Absent)
        .put(key, debt.encode_to_vec())
}

pub(super) fn move_key(account: AccountId) -> String {
    Key::Move(account).to_string()
}

fn unchanged(txn: Txn, current: &MoveAt) -> Txn {
    txn.when(
        move_key(current.facts.account),
        Expect::At(current.revision),
    )
}

pub(super) fn put_move(txn: Txn, facts: &MoveFacts) -> Txn {
    let record: MoveRecord = facts.record();
    txn.put(move_key(facts.account), record.encode_to_vec())
}

pub(super) fn put_account(txn: Txn, was: &AccountAt, now: AccountRecord) -> Txn {
    let key = Key::Account(was.id).to_string();
    txn.when(key.clone(), Expect::At(was.revision))
        .put(key, now.encode_to_vec())
}

#[cfg(test)]
pub(super) mod tests {
    use wire::ids::{Incarnation, ShardName};
    use wire::rpc::AccountState;

    use super::super::facts::tests::example;
    use super::*;

    pub(in crate::moves) fn at(phase: MovePhase) -> MoveAt {
        MoveAt {
            facts: example(phase),
            revision: Revision(30),
        }
    }

    pub(in crate::moves) fn account() -> AccountAt {
        let facts = example(MovePhase::Planned);
        let record = AccountRecord {
            address: facts.address.clone(),
            shard: facts.source.to_string(),
            epoch: facts.epoch.0,
            state: AccountState::Active.into(),
            ..AccountRecord::default()
        };
        AccountAt {
            id: facts.account,
            record,
            revision: Revision(20),
        }
    }

    fn written_move(txn: &Txn) -> MoveRecord {
        let put = txn
            .puts
            .iter()
            .find(|put| put.key.starts_with("moves/"))
            .unwrap();
        MoveRecord::decode(put.value.clone()).unwrap()
    }

    pub(in crate::moves) fn written_account(txn: &Txn) -> AccountRecord {
        let put = txn
            .puts
            .iter()
            .find(|put| put.key.starts_with("accounts/"))
            .unwrap();
        AccountRecord::decode(put.value.clone()).unwrap()
    }

    fn written_debt(txn: &Txn) -> Option<(String, DebtRecord)> {
        let put = txn.puts.iter().find(|put| put.key.starts_with("debts/"))?;
        let record = DebtRecord::decode(put.value.clone()).unwrap();
        Some((put.key.to_string(), record))
    }

    pub(in crate::moves) fn expects(txn: &Txn, kind: &str, expect: Expect) -> bool {
        txn.conditions
            .iter()
            .any(|(key, found)| key.starts_with(kind) && *found == expect)
    }

    #[test]
    fn the_switch_is_one_transaction_over_all_it_saw() {
        let target: ShardName = "shard-2".parse().unwrap();
        let witnesses = vec![
            (Key::ShardState(target.clone()), Revision(10)),
            (Key::Shard(target), Revision(11)),
        ];
        let txn = switch(&at(MovePhase::Verified), &account(), witnesses, 3_000);
        assert!(expects(&txn, "moves/", Expect::At(Revision(30))));
        assert!(expects(&txn, "accounts/", Expect::At(Revision(20))));
        assert!(expects(&txn, "shardstate/", Expect::At(Revision(10))));
        assert!(expects(&txn, "shards/", Expect::At(Revision(11))));
        assert_eq!(written_account(&txn).shard, "shard-2");
        assert_eq!(written_account(&txn).epoch, 7);
        assert!(written_account(&txn).move_id.is_empty());
        assert_eq!(written_move(&txn).phase(), MovePhase::Done);
        let (key, debt) = written_debt(&txn).unwrap();
        assert!(key.starts_with("debts/shard-1/"), "{key}");
        assert_eq!((debt.epoch, debt.whole, debt.due), (7, true, false));
        assert_eq!(debt.peer, "shard-2");
    }

    #[test]
    fn an_abort_raises_the_epoch_where_it_was() {
        let txn = abort(&at(MovePhase::Fencing), &account(), "why".to_owned(), 3_000);
        assert_eq!(written_account(&txn).shard, "shard-1");
        assert_eq!(written_account(&txn).epoch, 7);
        assert_eq!(written_move(&txn).phase(), MovePhase::Aborted);
        assert_eq!(written_move(&txn).reason, "why");
    }

    #[test]
    fn a_target_that_was_told_nothing_owes_nothing() {
        let debt = |phase| {
            let txn = abort(&at(phase), &account(), "why".to_owned(), 3_000);
            assert!(written_account(&txn).move_id.is_empty());
            written_debt(&txn)
        };
        assert_eq!(debt(MovePhase::Planned), None);
        for phase in [MovePhase::Copying, MovePhase::Verified] {
            let (key, debt) = debt(phase).unwrap();
            assert!(key.starts_with("debts/shard-2/"), "{key}");
            assert_eq!((debt.epoch, debt.whole, debt.due), (7, false, false));
        }
    }

    #[test]
    fn a_copy_counts_when_it_comes_on_and_when_it_breaks_off() {
        let progress = |messages, bytes| Progress {
            messages,
            bytes,
            total_messages: 9,
            total_bytes: 900,
        };
        let begun = example(MovePhase::Fencing).copied(progress(0, 0), 3_000);
        assert_eq!((begun.copied_at_ms, begun.broken_off_with_this()), (0, 0));
        let on = begun.copied(progress(5, 500), 4_000);
        assert_eq!((on.copied_at_ms, on.broken_off_with_this()), (4_000, 1));
        let still = on.copied(progress(5, 500), 5_000);
        assert_eq!(still, on);
        let broken = still.unfenced("why".to_owned());
        assert_eq!((broken.progress, broken.broken_off), (progress(0, 0), 1));
        // It did not begin in between.
        assert_eq!(broken.unfenced("why".to_owned()), broken);
        let anew = broken.copied(progress(1, 100), 6_000);
        assert_eq!((anew.copied_at_ms, anew.broken_off_with_this()), (6_000, 2));
        // As another driver finds it that begins anew.
        let less = on.copied(progress(1, 100), 7_000);
        assert_eq!(less.copied_at_ms, 7_000);
    }

    #[test]
    fn fencing_again_keeps_the_time_in_the_phase() {
        let facts = example(MovePhase::Verified).unfenced("why".to_owned());
        assert_eq!(facts.phase, MovePhase::Fencing);
        assert_eq!((facts.fence, &facts.evidence), (None, &None));
        assert_eq!(facts.changed_at_ms, 2_000);
        let fence = Fence {
            incarnation: Incarnation(4),
            change_number: 1,
        };
        assert_eq!(facts.fenced(fence).fence, Some(fence));
    }
}
