//! Answers to a batch: yes at once, all else after a proof, each address by itself.
//!
//! That an account is not yet at its shard, or that its shard is lost, was true once; a map that is
//! behind still says so when it is over.

use tokio::time::Instant;
use wire::answer::NobodyKnows;
use wire::ids::{AccountId, Epoch};
use wire::rpc::resolve_answer::Answer;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{ResolveAnswer, ResolveQuery};

use super::Verdict;
use crate::map::{Map, Shared};
use crate::store::Freshness;

/// Most queries of one batch.
pub(crate) const MAX_QUERIES: usize = 256;

/// Answers each query; those that need a proof get it, or nobody knows, before the
/// deadline.
pub(crate) async fn answer(
    shared: &Shared,
    freshness: &Freshness,
    queries: &[ResolveQuery],
    deadline: Instant,
) -> Vec<ResolveAnswer> {
    let mut verdicts = look_up(&shared.read(), queries);
    if verdicts.iter().any(needs_proof) {
        match freshness.prove_current(deadline).await {
            // What was asked is asked again: a no may have become a yes.
            Ok(()) => {
                look_again(&shared.read(), queries, &mut verdicts);
                return verdicts.into_iter().map(proven).collect();
            }
            Err(_) => return verdicts.into_iter().map(unproven).collect(),
        }
    }
    verdicts.into_iter().map(proven).collect()
}

fn look_up(map: &Map, queries: &[ResolveQuery]) -> Vec<Verdict> {
    queries.iter().map(|query| verdict(map, query)).collect()
}

fn look_again(map: &Map, queries: &[ResolveQuery], verdicts: &mut [Verdict]) {
    for (query, found) in queries.iter().zip(verdicts) {
        if needs_proof(found) {
            *found = verdict(map, query);
        }
    }
}

fn verdict(map: &Map, query: &ResolveQuery) -> Verdict {
    match &query.subject {
        Some(Subject::Address(address)) => super::address(map, address),
        Some(Subject::Account(id)) => match AccountId::from_slice(id) {
            Ok(id) => super::account(map, id, Epoch(query.at_least_epoch)),
            Err(_) => Verdict::NobodyKnows(NobodyKnows::Question),
        },
        Some(Subject::Postmaster(true)) => super::postmaster(map),
        Some(Subject::Postmaster(false)) | None => Verdict::NobodyKnows(NobodyKnows::Question),
    }
}

fn needs_proof(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::No(_) | Verdict::Partly(_) | Verdict::Behind | Verdict::NobodyKnows(_) => true,
        Verdict::Yes(_) => false,
    }
}

fn proven(verdict: Verdict) -> ResolveAnswer {
    let answer = match verdict {
        Verdict::Yes(recipients) | Verdict::Partly(recipients) => {
            Answer::Yes(wire::rpc::Recipients { recipients })
        }
        Verdict::No(no) => Answer::No(no.into()),
        Verdict::Behind => Answer::NobodyKnows(NobodyKnows::Epoch.into()),
        Verdict::NobodyKnows(why) => Answer::NobodyKnows(why.into()),
    };
    ResolveAnswer {
        answer: Some(answer),
    }
}

/// What may be said of a map that may be behind: no *no*, and no part of a yes.
fn unproven(verdict: Verdict) -> ResolveAnswer {
    match verdict {
        Verdict::Yes(_) | Verdict::NobodyKnows(_) => proven(verdict),
        Verdict::No(_) | Verdict::Partly(_) | Verdict::Behind => {
            proven(Verdict::NobodyKnows(NobodyKnows::Unproven))
        }
    }
}
