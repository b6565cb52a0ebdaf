//! What is left once it is decided where the account is: both shards are told.
//!
//! The account may have been removed, restored or purged since; then it has a later epoch, and both
//! shards may have heard of that before the commands of the move.

use wire::ids::{Epoch, ShardName};
use wire::rpc::{AccountState, MovePhase};

use super::World;
use super::command::command;
use super::facts::MoveFacts;
use super::look::Sight;
use super::transition::{finish, rewrite};
use super::turn::{Mover, StepError, Turned};

impl<W: World> Mover<W> {
    /// The target first, so that nobody is sent to a shard that does not serve yet. An account that
    /// was removed in between is stopped by the target itself, which sees the removal's epoch.
    pub(super) async fn hand_over(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let after = facts.epoch.next();
        if serves_at(sight, &facts.target, after) {
            self.peer(&sight.target)?
                .activate(command(facts, after))
                .await?;
        }
        self.peer(&sight.source)?
            .release(command(facts, newest(sight)))
            .await?;
        self.enter(sight, MovePhase::Serving).await
    }

    /// The source's data goes only once the target has confirmed that it has the account, whatever
    /// its state; or when the account is being purged, and is to be nowhere.
    pub(super) async fn retire(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let kept = sight
            .account
            .as_ref()
            .filter(|account| account.record.state() != AccountState::Purging);
        if kept.is_some() {
            self.peer(&sight.target)?
                .confirm_owner(command(facts, newest(sight)))
                .await?;
        }
        self.peer(&sight.source)?
            .drop_data(command(facts, newest(sight)))
            .await?;
        let done = facts.enter(MovePhase::Done, self.world.now_ms());
        self.finish(sight, &done).await
    }

    /// The source first: should it not have the account, what the target built is not dropped.
    pub(super) async fn settle(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let after = facts.epoch.next();
        let mut settled = facts.clone();
        if !facts.source_settled {
            if serves_at(sight, &facts.source, after) {
                self.peer(&sight.source)?
                    .activate(command(facts, after))
                    .await?;
            }
            settled.source_settled = true;
            if !settled.is_settled() {
                self.commit(rewrite(&sight.current, &settled)).await?;
                return Ok(Turned::Again);
            }
        } else {
            self.peer(&sight.target)?
                .discard(command(facts, after))
                .await?;
            settled.target_settled = true;
        }
        self.finish(sight, &settled).await
    }

    async fn finish(&self, sight: &Sight, over: &MoveFacts) -> Result<Turned, StepError> {
        self.commit(finish(&sight.current, over, sight.account.as_ref()))
            .await?;
        Ok(Turned::Over)
    }
}

/// Whether the directory says that `shard` serves the account at this epoch.
fn serves_at(sight: &Sight, shard: &ShardName, epoch: Epoch) -> bool {
    sight.account.as_ref().is_some_and(|account| {
        account.record.state() == AccountState::Active
            && account.record.shard == shard.as_str()
            && account.record.epoch == epoch.0
    })
}

/// The account's epoch: after the switch, or later.
fn newest(sight: &Sight) -> Epoch {
    let after = sight.current.facts.epoch.next();
    let now = sight.account.as_ref().map(|account| account.record.epoch);
    Epoch(now.unwrap_or_default()).max(after)
}
