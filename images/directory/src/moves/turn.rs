//! One turn of one move: look, do the step that the record names, write what came of it.

use std::time::Duration;

use wire::ids::{AccountId, Epoch, Incarnation, ShardName};
use wire::rpc::{AccountState, DigestReply, ImportProgress, ImportRequest, MovePhase, ShardState};

use super::command::{Copying, Peer, command};
use super::facts::{Evidence, Fence, MoveFacts, Progress};
use super::look::{LookError, ShardAt, Sight, look};
use super::plan::{Admission, Consequence, Failure, Situation, Step, admit, after, step};
use super::transition::{AccountAt, MoveAt, abort, finish, rewrite, switch};
use super::{MovesConfig, World};
use crate::model::Key;
use crate::store::{self, Expect, Outcome, Revision, SharedStore, Txn};

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Something was written: look again at once.
    Again,
    /// Nothing can be done for this long.
    Wait(Duration),
    /// A step failed; says why. Back off.
    BackOff(String),
    /// Nothing is left to do.
    Over,
}

/// Why a turn could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// The store could not be read, or the record not be understood.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why a step ended early.
#[derive(Debug)]
enum StepError {
    /// It failed.
    Failed(Failure),
    /// The record is another by now.
    Changed,
    /// The store is away.
    Turn(TurnError),
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<store::Error> for StepError {
    fn from(error: store::Error) -> Self {
        Self::Turn(error.into())
    }
}

/// What turns are taken with.
pub(crate) struct Mover<W> {
    pub(crate) store: SharedStore,
    pub(crate) world: W,
    pub(crate) config: MovesConfig,
    /// Revision of the election's key: what another replica has won since makes every write a
    /// conflict.
    pub(crate) term: Revision,
}

impl<W: World> Mover<W> {
    /// Takes one turn of an account's move.
    pub(crate) async fn turn(&self, account: AccountId) -> Result<Turned, TurnError> {
        let Some(sight) = look(self.store.as_ref(), account).await? else {
            return Ok(Turned::Over);
        };
        match self.do_step(&sight).await {
            Ok(turned) => Ok(turned),
            Err(StepError::Changed) => Ok(Turned::Wait(AFTER_CONFLICT)),
            Err(StepError::Turn(error)) => Err(error),
            Err(StepError::Failed(failure)) => self.after_failure(&sight, failure).await,
        }
    }

    async fn do_step(&self, sight: &Sight) -> Result<Turned, StepError> {
        match step(&sight.current.facts, self.world.now_ms(), self.config.grace) {
            Step::Admit => self.admit(sight).await,
            Step::Prepare => self.prepare(sight).await,
            Step::Fence => self.fence(sight).await,
            Step::Copy(fence) => self.copy(sight, fence).await,
            Step::Switch => self.switch(sight).await,
            Step::HandOver => self.hand_over(sight).await,
            Step::Wait(left) => Ok(Turned::Wait(left)),
            Step::Retire => self.retire(sight).await,
            Step::Settle => self.settle(sight).await,
            Step::Nothing => Ok(Turned::Over),
        }
    }

    async fn admit(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let (moves_out, moves_in) =
            self.world
                .under_way(facts.account, &facts.source, &facts.target);
        let load = sight.target.record.load.as_ref();
        let source = self.peer(&sight.source)?;
        let situation = Situation {
            target: sight.target.state,
            target_live: sight.target.live,
            source_live: sight.source.live,
            target_free: load.map(|load| load.volume_free),
            account_bytes: source.account_bytes(facts).await,
            moves_out,
            moves_in,
        };
        match admit(facts, &situation, self.config.per_shard) {
            Admission::Begin => self.enter(sight, MovePhase::Copying).await,
            Admission::Wait(reason) => Err(Failure::Away(reason).into()),
            Admission::Abort(reason) => self.abort(sight, reason).await,
        }
    }

    async fn prepare(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        self.peer(&sight.target)?
            .prepare(command(facts, facts.epoch))
            .await?;
        self.enter(sight, MovePhase::Fencing).await
    }

    async fn fence(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let fence = self
            .peer(&sight.source)?
            .fence(command(facts, facts.epoch))
            .await?;
        self.commit(rewrite(&sight.current, &facts.fenced(fence)))
            .await?;
        Ok(Turned::Again)
    }

    async fn copy(&self, sight: &Sight, fence: Fence) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let (source, target) = (self.peer(&sight.source)?, self.peer(&sight.target)?);
        let request = ImportRequest {
            command: Some(command(facts, facts.epoch)),
            source_endpoint: sight.source.record.rpc_endpoint.clone(),
            source_incarnation: fence.incarnation.0,
            change_number: fence.change_number,
        };
        let current = self
            .watch_copy(&sight.current, target.import(request).await?)
            .await?;
        let at_source = source.digest(command(facts, facts.epoch)).await?;
        let at_target = target.digest(command(facts, facts.epoch)).await?;
        let evidence = compare(fence, &at_source, &at_target)?;
        let progress = Progress {
            messages: at_target.messages,
            bytes: at_target.bytes,
            total_messages: at_source.messages,
            total_bytes: at_source.bytes,
        };
        let verified = current
            .facts
            .verified(evidence, progress, self.world.now_ms());
        self.commit(rewrite(&current, &verified)).await?;
        Ok(Turned::Again)
    }

    /// Reads the copy's reports to the end and writes the progress now and then, which also shows
    /// an abort that came in between.
    async fn watch_copy(
        &self,
        before: &MoveAt,
        mut copying: Copying<'_>,
    ) -> Result<MoveAt, StepError> {
        let mut current = before.clone();
        let mut written_ms = self.world.now_ms();
        loop {
            let report = copying.report().await?;
            if report.complete {
                return Ok(current);
            }
            if self.world.now_ms() - written_ms < PROGRESS_MS {
                continue;
            }
            written_ms = self.world.now_ms();
            current.facts.progress = progress(&report);
            current.revision = self.commit(rewrite(&current, &current.facts)).await?;
        }
    }

    async fn switch(&self, sight: &Sight) -> Result<Turned, StepError> {
        let (facts, target) = (&sight.current.facts, &sight.target);
        if target.state != ShardState::Active {
            return self
                .abort(sight, format!("{} is not Active any more", target.name))
                .await;
        }
        verified_incarnations(sight)?;
        let account = self.owned(sight)?;
        let witnesses = vec![
            target.state_witness(),
            target.record_witness(),
            sight.source.record_witness(),
        ];
        let now_ms = self.world.now_ms();
        self.commit(switch(&sight.current, account, witnesses, now_ms))
            .await?;
        tracing::info!(account = %facts.account, source = %facts.source, target = %target.name,
            epoch = facts.epoch.next().0, "the account is switched");
        Ok(Turned::Again)
    }

    /// The target first, so that nobody is sent to a shard that does not serve yet. An account that
    /// was removed in between is stopped by the target itself, which sees the removal's epoch.
    async fn hand_over(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let after = facts.epoch.next();
        if serves_at(sight, &facts.target, after) {
            self.peer(&sight.target)?
                .activate(command(facts, after))
                .await?;
        }
        self.peer(&sight.source)?
            .release(command(facts, after))
            .await?;
        self.enter(sight, MovePhase::Serving).await
    }

    async fn retire(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        let after = facts.epoch.next();
        if let Some(account) = &sight.account {
            let held = Epoch(account.record.epoch);
            self.peer(&sight.target)?
                .confirm_owner(command(facts, held))
                .await?;
        }
        self.peer(&sight.source)?
            .drop_data(command(facts, after))
            .await?;
        let done = facts.enter(MovePhase::Done, self.world.now_ms());
        self.finish(sight, &done).await
    }

    async fn settle(&self, sight: &Sight) -> Result<Turned, StepError> {
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
            self.commit(rewrite(&sight.current, &settled)).await?;
            return Ok(Turned::Again);
        }
        self.peer(&sight.target)?
            .discard(command(facts, after))
            .await?;
        settled.target_settled = true;
        self.finish(sight, &settled).await
    }

    async fn abort(&self, sight: &Sight, reason: String) -> Result<Turned, StepError> {
        tracing::warn!(account = %sight.current.facts.account, reason, "the move is aborted");
        let account = self.owned(sight)?;
        self.commit(abort(&sight.current, account, reason, self.world.now_ms()))
            .await?;
        Ok(Turned::Again)
    }

    async fn after_failure(&self, sight: &Sight, failure: Failure) -> Result<Turned, TurnError> {
        let facts = &sight.current.facts;
        let written = match after(facts, failure, self.world.now_ms(), self.config.stall_limit) {
            Consequence::Again(reason) => {
                self.note(
                    sight,
                    MoveFacts {
                        reason: reason.clone(),
                        ..facts.clone()
                    },
                    reason,
                )
                .await
            }
            Consequence::FenceAgain(reason) => {
                self.note(sight, facts.unfenced(reason.clone()), reason)
                    .await
            }
            Consequence::Abort(reason) => self.abort(sight, reason).await,
        };
        match written {
            Ok(turned) => Ok(turned),
            Err(StepError::Turn(error)) => Err(error),
            Err(StepError::Changed) => Ok(Turned::Wait(AFTER_CONFLICT)),
            Err(StepError::Failed(failure)) => Ok(Turned::BackOff(format!("{failure:?}"))),
        }
    }

    /// Writes what the move waits for, unless the record says so already.
    async fn note(
        &self,
        sight: &Sight,
        next: MoveFacts,
        reason: String,
    ) -> Result<Turned, StepError> {
        if next != sight.current.facts {
            self.commit(rewrite(&sight.current, &next)).await?;
        }
        Ok(Turned::BackOff(reason))
    }

    async fn enter(&self, sight: &Sight, phase: MovePhase) -> Result<Turned, StepError> {
        let next = sight.current.facts.enter(phase, self.world.now_ms());
        self.commit(rewrite(&sight.current, &next)).await?;
        Ok(Turned::Again)
    }

    async fn finish(&self, sight: &Sight, over: &MoveFacts) -> Result<Turned, StepError> {
        self.commit(finish(&sight.current, over, sight.account.as_ref()))
            .await?;
        Ok(Turned::Over)
    }

    /// Commits under the election's term; a conflict means that the record is another by now.
    async fn commit(&self, txn: Txn) -> Result<Revision, StepError> {
        let txn = txn.expect(Key::Mover.to_string(), Expect::At(self.term));
        match self.store.commit(txn).await? {
            Outcome::Committed(revision) => Ok(revision),
            Outcome::Conflict => Err(StepError::Changed),
        }
    }

    fn peer<'a>(&self, shard: &'a ShardAt) -> Result<Peer<'a>, Failure> {
        let endpoint = &shard.record.rpc_endpoint;
        match self.world.channel(&shard.name, endpoint) {
            Ok(channel) => Ok(Peer { shard, channel }),
            Err(error) => Err(Failure::Away(format!("{}: {error}", shard.name))),
        }
    }

    /// The account, which before the switch is there: what removes or purges it ends the move in
    /// the same transaction.
    fn owned<'a>(&self, sight: &'a Sight) -> Result<&'a AccountAt, StepError> {
        sight.account.as_ref().ok_or(StepError::Changed)
    }
}

/// After a conflict: another replica may have been elected, and then this one learns it soon.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// How often a copy's progress is written, in milliseconds: often enough to watch it.
const PROGRESS_MS: i64 = 1_000;

fn progress(report: &ImportProgress) -> Progress {
    Progress {
        messages: report.messages,
        bytes: report.bytes,
        total_messages: report.total_messages,
        total_bytes: report.total_bytes,
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

/// Both sides have the same, and the source is still the one that was fenced.
fn compare(fence: Fence, source: &DigestReply, target: &DigestReply) -> Result<Evidence, Failure> {
    if source.incarnation != fence.incarnation.0 {
        return Err(Failure::OtherIncarnation(
            "the source started again".to_owned(),
        ));
    }
    if source.digest.is_empty() || source.digest != target.digest {
        return Err(Failure::DigestsDiffer);
    }
    Ok(Evidence {
        target_incarnation: Incarnation(target.incarnation),
        digest: source.digest.to_vec(),
    })
}

/// Both shards are still the ones that were compared.
fn verified_incarnations(sight: &Sight) -> Result<(), Failure> {
    let facts = &sight.current.facts;
    let source = facts.fence.map(|fence| fence.incarnation);
    let target = facts
        .evidence
        .as_ref()
        .map(|evidence| evidence.target_incarnation);
    if source != Some(sight.source.incarnation()) || target != Some(sight.target.incarnation()) {
        let why = "a shard started again after the comparison".to_owned();
        return Err(Failure::OtherIncarnation(why));
    }
    Ok(())
}
