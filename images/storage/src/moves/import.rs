//! The target's part of the copy: pulls the account from its source into the own heap.
//!
//! An import begins from nothing: what an earlier one of the same move brought is dropped first.
//! It ends with one record that says that everything is here; without it the account is nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kit::services::mover_client::MoverClient;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use wire::ids::{AccountId, ShardName};
use wire::rpc::{ExportRequest, ImportProgress, ImportRequest};

use self::parts::{Assembler, Piece};
use super::{COPIES, MoverService, Parsed};
use crate::account::Account;
use crate::records::Change;
use crate::records::proto::{self, Holding};
use crate::shard::{Build, BuildError, Shard, Unready};

pub(super) mod parts;

/// Between two reports; who drives the move takes a long silence for the end.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Reports that wait for the directory.
const REPORTS_AHEAD: usize = 4;

/// How long the source may be silent: it has nothing to do but to read and send.
const SOURCE_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks whether old rows are gone.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// Imports under way, by account.
#[derive(Clone)]
pub(super) struct Imports {
    live: Arc<Mutex<HashMap<AccountId, CancellationToken>>>,
    places: Arc<Semaphore>,
}

impl Default for Imports {
    fn default() -> Self {
        Self {
            live: Arc::default(),
            places: Arc::new(Semaphore::new(COPIES)),
        }
    }
}

/// Why an import ends early. The driver may start it again.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Unready(#[from] Unready),
    #[error(transparent)]
    Status(#[from] Box<Status>),
    #[error("the source sent what does not fit: {0}")]
    Parts(#[from] parts::Misfit),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("a later import of the account has taken over")]
    Overtaken,
    #[error("nobody listens")]
    HungUp,
    #[error("the source sent nothing for {SOURCE_PATIENCE:?}")]
    Silent,
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<Stop> for Status {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Unready(unready) => Self::unavailable(unready.to_string()),
            Stop::Status(status) => *status,
            Stop::Parts(misfit) => Self::data_loss(misfit.to_string()),
            Stop::Build(BuildError::Unready(unready)) => Self::unavailable(unready.to_string()),
            Stop::Build(BuildError::Superseded) | Stop::Overtaken => {
                Self::failed_precondition(stop.to_string())
            }
            Stop::HungUp => Self::cancelled(stop.to_string()),
            Stop::Silent => Self::unavailable(stop.to_string()),
        }
    }
}

type Reports = mpsc::Sender<Result<ImportProgress, Status>>;

/// Starts an import, or reports at once that it is done.
pub(super) async fn start(
    service: MoverService,
    parsed: Parsed,
    request: ImportRequest,
) -> Result<ReceiverStream<Result<ImportProgress, Status>>, Status> {
    let building = |account: &Account| is_building(account, &parsed);
    let account = service.settled(parsed.account, building).await?;
    let (reports, receiver) = mpsc::channel(REPORTS_AHEAD);
    let wanted = proto::ImportedFrom {
        source_incarnation: request.source_incarnation,
        change_number: request.change_number,
    };
    let copied = |from: &proto::ImportedFrom| (from.source_incarnation, from.change_number);
    if let Some(held) = account
        .imported
        .filter(|held| copied(held) > copied(&wanted))
    {
        // Incarnations and change numbers only rise: this command was late on its way.
        return Err(Status::failed_precondition(format!(
            "a later copy is here, from {:?}",
            copied(&held)
        )));
    }
    tokio::spawn(async move {
        let last = match account.imported == Some(wanted) {
            true => Ok(complete(&service.shard, &account)),
            false => run(&service, &parsed, request, &reports).await,
        };
        if let Err(stop) = &last {
            let Parsed {
                account, move_id, ..
            } = parsed;
            tracing::warn!(%account, %move_id, error = %stop, "the import stopped");
        }
        let _ = reports.send(last.map_err(Status::from)).await;
    });
    Ok(ReceiverStream::new(receiver))
}

/// Imports, unless a later import of the same account takes its place.
async fn run(
    service: &MoverService,
    parsed: &Parsed,
    request: ImportRequest,
    reports: &Reports,
) -> Result<ImportProgress, Stop> {
    let token = CancellationToken::new();
    let earlier = service
        .imports
        .live
        .lock()
        .insert(parsed.account, token.clone());
    if let Some(earlier) = earlier {
        earlier.cancel();
    }
    let progress = watch::Sender::new(ImportProgress {
        incarnation: service.shard.incarnation().0,
        ..ImportProgress::default()
    });
    let result = tokio::select! {
        result = import(service, parsed, request, &progress, &token) => result,
        () = token.cancelled() => Err(Stop::Overtaken),
        () = reports.closed() => Err(Stop::HungUp),
        never = report(&progress, reports) => match never {},
    };
    if !token.is_cancelled() {
        service.imports.live.lock().remove(&parsed.account);
    }
    result
}

/// Says how far it is, whatever the import waits for.
async fn report(progress: &watch::Sender<ImportProgress>, reports: &Reports) -> Infallible {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    loop {
        ticks.tick().await;
        let now = *progress.borrow();
        // Who does not read reports misses some.
        let _ = reports.try_send(Ok(now));
    }
}

async fn import(
    service: &MoverService,
    parsed: &Parsed,
    request: ImportRequest,
    progress: &watch::Sender<ImportProgress>,
    token: &CancellationToken,
) -> Result<ImportProgress, Stop> {
    let _place = service.imports.places.acquire().await;
    // A later import of the account cancels this one before it resets the account.
    let is_mine = |held: &Account| !token.is_cancelled() && is_building(held, parsed).is_ok();
    let mut build = service.shard.build(parsed.account, Box::new(is_mine));
    reset(&mut build, &service.shard, parsed).await?;
    let source: ShardName = parsed
        .source
        .parse()
        .map_err(|error: wire::ids::IdError| Status::invalid_argument(error.to_string()))?;
    let channel = service
        .channels
        .get(&source, &request.source_endpoint)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let export = ExportRequest {
        command: request.command.clone(),
        source_incarnation: request.source_incarnation,
        change_number: request.change_number,
        bytes_per_second: request.bytes_per_second,
    };
    let mut client = MoverClient::new(channel);
    let mut stream = client.export(Request::new(export)).await?.into_inner();
    let mut assembler = Assembler::default();
    loop {
        let part = timeout(SOURCE_PATIENCE, stream.message()).await;
        let Some(part) = part.map_err(|_| Stop::Silent)?? else {
            return Err(Stop::Parts(parts::Misfit("it ended without an end")));
        };
        match assembler.take(part)? {
            None => {}
            Some(Piece::Account { messages, octets }) => {
                progress.send_modify(|report| {
                    report.total_messages = messages;
                    report.total_bytes = octets;
                });
            }
            Some(Piece::Mailbox(mailbox)) => {
                build.change(Change::MailboxImported(mailbox)).await?;
            }
            Some(Piece::Message(message)) => {
                let octets = message.octets();
                let (imported, prefix) = (message.imported, message.prefix);
                build.message(imported, prefix, &message.body).await?;
                service.shard.metrics().imported.inc();
                progress.send_modify(|report| {
                    report.messages += 1;
                    report.bytes += octets;
                });
            }
            Some(Piece::Deliveries(deliveries)) => {
                build.change(Change::DeliveriesImported(deliveries)).await?;
            }
            Some(Piece::End(mut finished)) => {
                finished.source_incarnation = request.source_incarnation;
                finished.change_number = request.change_number;
                build.change(Change::ImportFinished(finished)).await?;
                build.acknowledged().await?;
                let complete = true;
                return Ok(ImportProgress {
                    complete,
                    ..*progress.borrow()
                });
            }
        }
    }
}

/// Drops what an earlier import brought.
async fn reset(build: &mut Build<'_>, shard: &Shard, parsed: &Parsed) -> Result<(), Stop> {
    let ownership = proto::Ownership {
        epoch: parsed.epoch.0,
        holding: Holding::Building.into(),
        move_id: parsed.move_id.to_field(),
        peer: parsed.source.clone(),
    };
    build.change(Change::Ownership(ownership)).await?;
    build.all_done().await?;
    // Its rows go a few at a time, so that other accounts need not wait for a large one.
    let index = shard.index();
    while index.is_sweeping(parsed.account).map_err(Unready::from)? {
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
    Ok(())
}

fn complete(shard: &Shard, account: &Account) -> ImportProgress {
    let usage = account.usage();
    ImportProgress {
        messages: usage.messages,
        bytes: usage.octets,
        total_messages: usage.messages,
        total_bytes: usage.octets,
        complete: true,
        incarnation: shard.incarnation().0,
    }
}

/// Whether this move builds the account here.
fn is_building(account: &Account, parsed: &Parsed) -> Result<(), String> {
    let mine = account.move_id == Some(parsed.move_id) && account.epoch == parsed.epoch;
    match account.holding == Holding::Building && mine {
        true => Ok(()),
        false => Err("the account is not being built by this move: prepare it first".to_owned()),
    }
}
