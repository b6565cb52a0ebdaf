//! One turn of one move: look, do the step that the record names, write what came of it.

use std::time::Duration;

use wire::ids::AccountId;
use wire::rpc::{MovePhase, ShardState};

use super::admit::{Admission, Situation, admit};
use super::command::{Peer, command};
use super::facts::MoveFacts;
use super::look::{LookError, ShardAt, Sight, look};
use super::places::{Ends, Places};
use super::plan::{Consequence, Failure, Step, after, step};
use super::room::room;
use super::transition::{AccountAt, abort, abort_within, rewrite, switch};
use super::{MovesConfig, World};
use crate::election::Term;
use crate::store::{self, Outcome, Revision, SharedStore, Txn};

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The next phase is written: look again at once.
    Entered,
    /// Something else is written: look again at once.
    Again,
    /// Another has written meanwhile: look again after this long.
    Wait(Duration),
    /// Other moves have the places that this one needs.
    Crowded(Ends),
    /// A step failed, for this reason. Back off.
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
pub(super) enum StepError {
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
    /// Once it is over, every write is a conflict.
    pub(crate) term: Term,
    /// Who is under way.
    pub(crate) places: Places,
}

impl<W: World> Mover<W> {
    /// Takes one turn of an account's move.
    pub(crate) async fn turn(&self, account: AccountId) -> Result<Turned, TurnError> {
        let Some(mut sight) = look(self.store.as_ref(), account).await? else {
            return Ok(Turned::Over);
        };
        self.place(&sight.current.facts);
        match self.do_step(&mut sight).await {
            Ok(turned) => Ok(turned),
            Err(StepError::Changed) => Ok(Turned::Wait(AFTER_CONFLICT)),
            Err(StepError::Turn(error)) => Err(error),
            Err(StepError::Failed(failure)) => self.after_failure(&sight, failure).await,
        }
    }

    async fn do_step(&self, sight: &mut Sight) -> Result<Turned, StepError> {
        if let Some(reason) = hopeless(sight) {
            return self.abort(sight, reason).await;
        }
        match step(&sight.current.facts) {
            Step::Admit => self.admit(sight).await,
            Step::Prepare => self.prepare(sight).await,
            Step::Fence => self.fence(sight).await,
            Step::Copy(fence) => self.copy(sight, fence).await,
            Step::Switch => self.switch(sight).await,
            Step::Nothing => Ok(Turned::Over),
        }
    }

    /// Where the account is decided, the move needs no place any more.
    pub(super) fn place(&self, facts: &MoveFacts) {
        match facts.phase {
            MovePhase::Planned => {}
            MovePhase::Copying
            | MovePhase::Fencing
            | MovePhase::Verified
            | MovePhase::Unspecified => self.places.hold(facts.account, ends(facts)),
            MovePhase::Done | MovePhase::Aborted => self.places.leave(facts.account),
        }
    }

    async fn admit(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        if let Err(reason) = self.places.take(facts.account, ends(facts)) {
            self.note(sight, facts.waiting_for(reason)).await?;
            return Ok(Turned::Crowded(ends(facts)));
        }
        let asked = match self.peer(&sight.source) {
            Ok(source) => source.account_bytes(facts).await,
            Err(_) => None,
        };
        let known = facts.progress.total_bytes;
        let bytes = asked.or((known > 0).then_some(known));
        let others = self.world.bringing(&facts.target, facts.account);
        let situation = Situation {
            target: sight.target.state,
            target_live: sight.target.live,
            source_live: sight.source.live,
            room: room(sight.target.load.as_ref(), others, bytes),
            target_owes: sight.target_owes,
            source_format: sight.source.record.copy_format,
            target_format: sight.target.record.copy_format,
        };
        match admit(facts, &situation) {
            Admission::Begin => {
                let begun = facts
                    .sized(bytes)
                    .enter(MovePhase::Copying, self.world.now_ms());
                self.commit(rewrite(&sight.current, &begun)).await?;
                Ok(Turned::Entered)
            }
            Admission::Wait(reason) => {
                self.places.leave(facts.account);
                Err(Failure::Away(reason).into())
            }
            Admission::Abort(reason) => self.abort(sight, reason).await,
        }
    }

    async fn prepare(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        self.peer(&sight.target)?.prepare(command(facts)).await?;
        self.enter(sight, MovePhase::Fencing).await
    }

    /// The target is asked once more: when this is not the first time, it may have lost what it had,
    /// and mail is not made to wait for a target that is away.
    async fn fence(&self, sight: &Sight) -> Result<Turned, StepError> {
        let facts = &sight.current.facts;
        self.peer(&sight.target)?.prepare(command(facts)).await?;
        let fence = self.peer(&sight.source)?.fence(command(facts)).await?;
        self.commit(rewrite(&sight.current, &facts.fenced(fence)))
            .await?;
        Ok(Turned::Again)
    }

    async fn switch(&self, sight: &Sight) -> Result<Turned, StepError> {
        let (facts, target) = (&sight.current.facts, &sight.target);
        if target.state != ShardState::Active {
            return self
                .abort(sight, format!("{} is not Active any more", target.name))
                .await;
        }
        verified_incarnations(sight)?;
        let account = owned(sight)?;
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
        Ok(Turned::Entered)
    }

    async fn abort(&self, sight: &Sight, reason: String) -> Result<Turned, StepError> {
        let current = &sight.current;
        tracing::warn!(account = %current.facts.account, reason, "the move is aborted");
        let now_ms = self.world.now_ms();
        let txn = match owned(sight) {
            Ok(account) => abort(current, account, reason, now_ms),
            Err(_) => abort_within(Txn::new(), current, reason, now_ms),
        };
        self.commit(txn).await?;
        Ok(Turned::Entered)
    }

    async fn after_failure(&self, sight: &Sight, failure: Failure) -> Result<Turned, TurnError> {
        let facts = &sight.current.facts;
        let (now_ms, limit) = (self.world.now_ms(), self.config.stall_limit);
        let written = match after(facts, failure, now_ms, limit) {
            Consequence::Again(reason) => self.note(sight, facts.waiting_for(reason)).await,
            Consequence::FenceAgain(reason) => self.note(sight, facts.unfenced(reason)).await,
            Consequence::Abort(reason) => self.abort(sight, reason).await,
        };
        match written {
            Ok(turned) => Ok(turned),
            Err(StepError::Turn(error)) => Err(error),
            Err(StepError::Changed | StepError::Failed(_)) => Ok(Turned::Wait(AFTER_CONFLICT)),
        }
    }

    /// Writes what the move waits for, unless the record says so already.
    async fn note(&self, sight: &Sight, next: MoveFacts) -> Result<Turned, StepError> {
        if next != sight.current.facts {
            self.commit(rewrite(&sight.current, &next)).await?;
        }
        Ok(Turned::BackOff(next.reason))
    }

    async fn enter(&self, sight: &Sight, phase: MovePhase) -> Result<Turned, StepError> {
        let next = sight.current.facts.enter(phase, self.world.now_ms());
        self.commit(rewrite(&sight.current, &next)).await?;
        Ok(Turned::Entered)
    }

    /// Commits under the election's term; a conflict means that the record is another by now.
    pub(super) async fn commit(&self, txn: Txn) -> Result<Revision, StepError> {
        match self.store.commit(self.term.fence(txn)).await? {
            Outcome::Committed(revision) => Ok(revision),
            Outcome::Conflict => Err(StepError::Changed),
        }
    }

    pub(super) fn peer<'a>(&self, shard: &'a ShardAt) -> Result<Peer<'a>, Failure> {
        if !shard.live {
            // Whatever it is asked, it would not be obeyed, or not answered.
            return Err(Failure::Away(format!("{} holds no lease", shard.name)));
        }
        let endpoint = &shard.record.rpc_endpoint;
        match self.world.channel(&shard.name, endpoint) {
            Ok(channel) => Ok(Peer { shard, channel }),
            Err(error) => Err(Failure::Away(format!("{}: {error}", shard.name))),
        }
    }
}

/// The account, which before the switch is this move's: what removes it ends the move in the same
/// transaction.
fn owned(sight: &Sight) -> Result<&AccountAt, Failure> {
    let facts = &sight.current.facts;
    let mine = |account: &&AccountAt| account.record.move_id == facts.id.as_bytes().as_slice();
    let account = sight.account.as_ref().filter(mine);
    account.ok_or_else(|| Failure::Lost(format!("{} is no longer this move's", facts.account)))
}

/// Why a move ends at once: a shard that is lost never comes back. A target that has all of the
/// account, verified, needs no source.
fn hopeless(sight: &Sight) -> Option<String> {
    let facts = &sight.current.facts;
    let needed = match facts.phase {
        MovePhase::Verified => vec![&sight.target],
        MovePhase::Planned | MovePhase::Copying | MovePhase::Fencing | MovePhase::Unspecified => {
            vec![&sight.source, &sight.target]
        }
        MovePhase::Done | MovePhase::Aborted => Vec::new(),
    };
    let lost = needed
        .into_iter()
        .find(|shard| shard.state == ShardState::Lost)?;
    Some(format!("{} is lost", lost.name))
}

fn ends(facts: &MoveFacts) -> Ends {
    Ends {
        source: facts.source.clone(),
        target: facts.target.clone(),
    }
}

/// After a conflict: another replica may have been elected, and then this one learns it soon.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

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
