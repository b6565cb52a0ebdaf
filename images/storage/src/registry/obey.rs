//! Makes the directory's words so, durably and under the lease.

use wire::rpc;
use wire::rpc::Confirmation;
use wire::rpc::confirmation::What;

use super::debts::{Debt, Payment};
use super::reconcile::{Order, Word};
use crate::shard::{Shard, Unready};

/// Carries a word on an account out; what is to be confirmed then.
pub async fn obey(shard: &Shard, word: &Word) -> Result<Option<Confirmation>, Unready> {
    let mut confirm: Option<What> = None;
    let mut fault = None;
    let decided = shard.change(word.account, |held| match word.order(held) {
        Order::Nothing => Ok(None),
        Order::Write(change, what) => {
            confirm = what;
            Ok(Some(change))
        }
        Order::Confirm(what) => {
            confirm = Some(what);
            Ok(None)
        }
        Order::Fault(text, what) => {
            fault = Some(text);
            confirm = what;
            Ok(None)
        }
    });
    let decided: Result<(), Unready> = decided.await;
    decided?;
    if let Some(fault) = fault {
        shard.metrics().faults.inc();
        tracing::error!(account = %word.account, fault, "directory and shard disagree");
    }
    Ok(confirm.map(|what| Confirmation {
        account: word.account.to_field(),
        epoch: word.epoch.0,
        what: what.into(),
        keepers: word.keepers.clone(),
    }))
}

/// Pays a debt, if that can be now; how it is told then.
pub async fn pay(shard: &Shard, debt: Debt) -> Result<Option<rpc::Debt>, Unready> {
    let mut paid = false;
    let mut fault = None;
    let decided = shard.change(debt.account, |held| match debt.payment(held) {
        Payment::Nothing => Ok(None),
        Payment::Write(change, pays) => {
            paid = pays;
            Ok(Some(change))
        }
        Payment::Paid => {
            paid = true;
            Ok(None)
        }
        Payment::Fault(text) => {
            fault = Some(text);
            Ok(None)
        }
    });
    let decided: Result<(), Unready> = decided.await;
    decided?;
    if let Some(fault) = fault {
        shard.metrics().faults.inc();
        tracing::error!(account = %debt.account, fault, "a move and the shard disagree");
    }
    Ok(paid.then(|| debt.paid()))
}
