//! The shard's side of a move: the `Mover` service.
//!
//! Commands come from the directory's elected replica; the copy is pulled by the target from the
//! source. All is durable, and under the lease, before it is answered.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use kit::rpc::ShardChannels;
use kit::services::mover_server;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use wire::ids::{AccountId, Epoch, MoveId};
use wire::rpc::{
    DigestReply, ExportPart, ExportRequest, FenceReply, ImportProgress, ImportRequest, MoveCommand,
    MoveReply,
};

use crate::account::Account;
use crate::account::command::{Command, Refusal, Step, Verb, word};
use crate::index::IndexError;
use crate::records::Change;
use crate::records::proto::Holding;
use crate::shard::body::BodyError;
use crate::shard::{Shard, Unready};

mod digest;
mod digests;
mod export;
mod import;
mod pace;

use self::digests::Digests;
use self::import::Imports;
use self::pace::Pace;

/// The form of a copy: what is exported, and what the digest is over. It rises when either changes,
/// and a move waits until its target is not older than its source.
pub const COPY_FORMAT: u32 = 1;

/// Exports at a time, and imports at a time: each keeps a disk and some memory busy. An import
/// waits for an export elsewhere, so neither may take the other's places.
const COPIES: usize = 8;

/// A copy would only make it worse.
const NEARLY_FULL: &str = "the shard's volume is nearly full";

/// How long a caller waits for a digest before it is told to ask again: less than any deadline.
const DIGEST_PATIENCE: Duration = Duration::from_secs(5);

/// The service; cheap to clone.
#[derive(Clone)]
pub struct MoverService {
    shard: Shard,
    channels: ShardChannels,
    imports: Imports,
    exports: Arc<Semaphore>,
    pace: Arc<Pace>,
    digests: Digests,
}

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Unready(#[from] Unready),
}

impl From<MoveError> for Status {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Refused(Refusal::Never(text)) => Status::failed_precondition(text),
            MoveError::Refused(Refusal::NotYet(text)) => Status::unavailable(text),
            MoveError::Unready(unready) => Status::unavailable(unready.to_string()),
        }
    }
}

/// Why an account cannot be read whole.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the account is gone")]
    Gone,
}

impl From<CopyError> for Status {
    fn from(error: CopyError) -> Self {
        tracing::error!(%error, "an account cannot be read");
        Status::data_loss(error.to_string())
    }
}

/// A command, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parsed {
    account: AccountId,
    move_id: MoveId,
    epoch: Epoch,
    source: String,
    target: String,
}

/// Which end of the move this shard must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Target,
    Either,
}

impl MoverService {
    /// Of a shard; `channels` lead to other shards.
    pub fn new(shard: Shard, channels: ShardChannels) -> Self {
        Self {
            shard,
            channels,
            imports: Imports::default(),
            exports: Arc::new(Semaphore::new(COPIES)),
            pace: Arc::default(),
            digests: Digests::default(),
        }
    }

    fn parse(&self, command: &MoveCommand, end: End) -> Result<Parsed, Status> {
        let bad = |error: wire::ids::IdError| Status::invalid_argument(error.to_string());
        let parsed = Parsed {
            account: AccountId::from_slice(&command.account).map_err(bad)?,
            move_id: MoveId::from_slice(&command.move_id).map_err(bad)?,
            epoch: Epoch(command.epoch),
            source: command.source.clone(),
            target: command.target.clone(),
        };
        let me = self.shard.name().as_str();
        let fits = match end {
            End::Source => parsed.source == me,
            End::Target => parsed.target == me,
            End::Either => parsed.source == me || parsed.target == me,
        };
        match fits && parsed.source != parsed.target {
            true => Ok(parsed),
            false => Err(Status::invalid_argument(format!(
                "a move from {} to {} is no business of {me}",
                parsed.source, parsed.target
            ))),
        }
    }

    async fn command(&self, verb: Verb, end: End, command: &MoveCommand) -> Result<Parsed, Status> {
        let parsed = self.parse(command, end)?;
        let peer = match parsed.source == self.shard.name().as_str() {
            true => &parsed.target,
            false => &parsed.source,
        };
        let command = Command {
            verb,
            move_id: parsed.move_id,
            epoch: parsed.epoch,
            peer: peer.clone(),
        };
        let done: Result<(), MoveError> = self
            .shard
            .change(parsed.account, |held| match command.decide(held)? {
                Step::Already => Ok(None),
                Step::Write(ownership) => Ok(Some(Change::Ownership(ownership))),
            })
            .await;
        let Parsed {
            account, move_id, ..
        } = &parsed;
        match &done {
            Ok(()) => tracing::info!(?verb, %account, %move_id, epoch = %parsed.epoch, "done"),
            Err(error) => tracing::warn!(?verb, %account, %move_id, %error, "not done"),
        }
        done?;
        Ok(parsed)
    }

    /// The account as it is, settled, if `check` likes it.
    async fn settled(
        &self,
        id: AccountId,
        check: impl Fn(&Account) -> Result<(), String>,
    ) -> Result<Account, Status> {
        let mut found = None;
        let settled: Result<(), MoveError> = self
            .shard
            .change(id, |held| {
                let none = || Refusal::Never("the shard does not have the account".to_owned());
                let account = held.ok_or_else(none)?;
                check(account).map_err(Refusal::Never)?;
                found = Some(account.clone());
                Ok(None)
            })
            .await;
        settled?;
        found.ok_or_else(|| Status::internal("nothing was found"))
    }
}

#[tonic::async_trait]
impl mover_server::Mover for MoverService {
    type ImportStream = Pin<Box<dyn Stream<Item = Result<ImportProgress, Status>> + Send>>;
    type ExportStream = Pin<Box<dyn Stream<Item = Result<ExportPart, Status>> + Send>>;

    async fn prepare(&self, request: Request<MoveCommand>) -> Result<Response<MoveReply>, Status> {
        if self.shard.is_nearly_full() {
            return Err(Status::resource_exhausted(NEARLY_FULL));
        }
        self.command(Verb::Prepare, End::Target, request.get_ref())
            .await?;
        let incarnation = self.shard.incarnation().0;
        Ok(Response::new(MoveReply { incarnation }))
    }

    async fn fence(&self, request: Request<MoveCommand>) -> Result<Response<FenceReply>, Status> {
        let parsed = self
            .command(Verb::Fence, End::Source, request.get_ref())
            .await?;
        let fenced = |account: &Account| is_fenced(account, &parsed);
        let account = self.settled(parsed.account, fenced).await?;
        Ok(Response::new(FenceReply {
            incarnation: self.shard.incarnation().0,
            change_number: account.highest_modseq,
        }))
    }

    async fn import(
        &self,
        request: Request<ImportRequest>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let request = request.into_inner();
        let missing = || Status::invalid_argument("an import has a command");
        let command = request.command.as_ref().ok_or_else(missing)?;
        let parsed = self.parse(command, End::Target)?;
        Ok(Response::new(Box::pin(
            import::start(self.clone(), parsed, request).await?,
        )))
    }

    async fn digest(&self, request: Request<MoveCommand>) -> Result<Response<DigestReply>, Status> {
        let parsed = self.parse(request.get_ref(), End::Either)?;
        let whole = |account: &Account| is_whole(account, &parsed);
        self.settled(parsed.account, whole).await?;
        let index = self.shard.index();
        let indexed = index.account(parsed.account).map_err(CopyError::from)?;
        let at = indexed.ok_or(CopyError::Gone)?.changed;
        let digest = self.digests.of(index, parsed.account, at, DIGEST_PATIENCE);
        let digest = digest.await?;
        // Nothing may have changed under it.
        self.settled(parsed.account, whole).await?;
        let incarnation = self.shard.incarnation().0;
        Ok(Response::new(match digest {
            Some(digest) => DigestReply {
                incarnation,
                digest: digest.sum,
                messages: digest.messages,
                bytes: digest.octets,
                pending: false,
            },
            None => DigestReply {
                incarnation,
                pending: true,
                ..DigestReply::default()
            },
        }))
    }

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let caller = kit::rpc::caller(&request)?;
        let request = request.into_inner();
        let missing = || Status::invalid_argument("an export has a command");
        let command = request.command.as_ref().ok_or_else(missing)?;
        let parsed = self.parse(command, End::Source)?;
        if caller.instance() != parsed.target {
            return Err(Status::permission_denied(
                "only the move's target may export",
            ));
        }
        let parts = export::start(self, parsed, &request).await?;
        self.pace.set(request.bytes_per_second);
        Ok(Response::new(Box::pin(Arc::clone(&self.pace).paced(parts))))
    }
}

/// Feeds any octets to what reads an export.
pub(crate) fn fuzz(data: &[u8]) {
    import::parts::fuzz(data);
}

/// Whether the account is fenced for this very move.
fn is_fenced(account: &Account, parsed: &Parsed) -> Result<(), String> {
    let mine = account.move_id == Some(parsed.move_id) && account.epoch == parsed.epoch;
    match account.holding == Holding::Fenced && mine {
        true => Ok(()),
        false => Err(format!(
            "the shard is the account's {} at epoch {}, not fenced for this move",
            word(account.holding),
            account.epoch
        )),
    }
}

/// Whether the account is complete and still: fenced at the source, finished at the target.
fn is_whole(account: &Account, parsed: &Parsed) -> Result<(), String> {
    let mine = account.move_id == Some(parsed.move_id) && account.epoch == parsed.epoch;
    let whole = match account.holding {
        Holding::Fenced => true,
        Holding::Building => account.imported.is_some(),
        _ => false,
    };
    match whole && mine {
        true => Ok(()),
        false => Err(format!(
            "the shard is the account's {} at epoch {}, not complete for this move",
            word(account.holding),
            account.epoch
        )),
    }
}
