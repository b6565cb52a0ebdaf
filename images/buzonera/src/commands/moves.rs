//! `buzonera move` and `buzonera moves`.

use std::time::Duration;

use clap::{Args, Subcommand};
use wire::rpc::{self, MovePhase};

use crate::client::{Admin, ask, request_id};
use crate::commands::limits::{self, LimitsArgs};
use crate::commands::move_view::{MoveView, Moves};
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;

/// How often progress is asked for: often enough for a person, rare enough for the directory.
const POLL: Duration = Duration::from_millis(300);

/// Which account, and where to.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The account's address.
    pub address: String,
    /// The shard to move it to.
    #[arg(required_unless_present = "abort", conflicts_with = "abort")]
    pub shard: Option<String>,
    /// Return when the move is planned, not when it is over.
    #[arg(long)]
    pub no_wait: bool,
    /// Give up the account's open move; it stays where it is.
    #[arg(long)]
    pub abort: bool,
}

/// Which moves, or what they may cost.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct MovesArgs {
    /// Only those under way.
    #[arg(long)]
    pub open: bool,
    /// Something else than the list.
    #[command(subcommand)]
    pub command: Option<MovesCommand>,
}

/// What to do with all moves together.
#[derive(Debug, Subcommand)]
pub enum MovesCommand {
    /// What moves may cost: shows it, or sets what is named. Nothing restarts.
    Limits(LimitsArgs),
}

/// Runs `moves`.
pub async fn run_moves(args: MovesArgs, session: &mut Session) -> Result<(), Failure> {
    match args.command {
        None => run_list(args.open, session).await,
        Some(MovesCommand::Limits(args)) => limits::run(args, session).await,
    }
}

/// Starts a move, or gives one up, and watches it to its end.
pub async fn run_move(args: MoveArgs, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let (started, wanted) = match args.shard {
        Some(target) => (start(&admin, args.address, target).await?, MovePhase::Done),
        None => (abort(&admin, args.address).await?, MovePhase::Aborted),
    };
    let last = match args.no_wait {
        true => started,
        false => watch(&admin, started, session).await?,
    };
    let view = MoveView::from(last);
    session.output.show(&view)?;
    view.verdict(wanted, args.no_wait)
}

/// Prints the list.
async fn run_list(open: bool, session: &mut Session) -> Result<(), Failure> {
    let filter = if open { "open" } else { "" };
    let moves = all(&session.admin()?, filter).await?;
    let moves = moves.into_iter().map(MoveView::from).collect();
    session.output.show(&Moves(moves))
}

/// Every move that `ListMoves` has under this filter.
pub async fn all(admin: &Admin, filter: &str) -> Result<Vec<rpc::Move>, Failure> {
    let name = |shown: &rpc::Move| shown.address.clone();
    let moves = pages::all(filter, name, |request| async {
        let reply = ask!(admin.list_moves(request))?;
        Ok(Page {
            items: reply.moves,
            more: reply.more,
        })
    });
    moves.await
}

async fn start(admin: &Admin, address: String, target: String) -> Result<rpc::Move, Failure> {
    let request = rpc::StartMoveRequest {
        request_id: request_id(),
        address,
        target,
    };
    ask!(admin.start_move(request))
}

async fn abort(admin: &Admin, address: String) -> Result<rpc::Move, Failure> {
    let request = rpc::AbortMoveRequest {
        request_id: request_id(),
        address,
    };
    ask!(admin.abort_move(request))
}

/// Shows each change until the move is over.
async fn watch(
    admin: &Admin,
    mut seen: rpc::Move,
    session: &mut Session,
) -> Result<rpc::Move, Failure> {
    let mut said = String::new();
    loop {
        let line = MoveView::from(seen.clone()).progress();
        if line != said {
            session.output.progress(&line)?;
            said = line;
        }
        match seen.phase() {
            MovePhase::Done | MovePhase::Aborted => return Ok(seen),
            MovePhase::Planned
            | MovePhase::Copying
            | MovePhase::Fencing
            | MovePhase::Verified
            | MovePhase::Unspecified => {}
        }
        tokio::time::sleep(POLL).await;
        seen = show(admin, &seen).await?;
    }
}

async fn show(admin: &Admin, seen: &rpc::Move) -> Result<rpc::Move, Failure> {
    let request = rpc::ShowMoveRequest {
        move_id: seen.move_id.clone(),
        address: String::new(),
    };
    ask!(admin.show_move(request))
}
