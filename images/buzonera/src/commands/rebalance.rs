//! `buzonera rebalance`.

use clap::Args;
use plan::{Balance, Limits, Load, OpenMove};
use wire::ids::IdError;
use wire::rpc;

use crate::client::Admin;
use crate::commands::rebalance_view::PlanView;
use crate::commands::session::Session;
use crate::commands::{moves, shards};
use crate::failure::Failure;

/// By how much of its part a shard may differ from it before accounts are moved for that.
const TOLERANCE: u32 = 10;

/// What to do with the plan.
#[derive(Debug, Args)]
pub struct RebalanceArgs {
    /// Show what would move, and move nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How far a shard may be from its part, in percent of it.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = TOLERANCE,
        value_parser = clap::value_parser!(u32).range(1..=50)
    )]
    pub tolerance: u32,
}

/// Runs the command.
pub async fn run(args: RebalanceArgs, session: &mut Session) -> Result<(), Failure> {
    if !args.dry_run {
        let text = "To carry out a plan is the Kubernetes operator's part: use --dry-run to see it, and \
                    `buzonera move` to move single accounts.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let balance = balance(&session.admin()?).await?;
    let limits = Limits {
        tolerance_percent: args.tolerance,
    };
    session.output.show(&PlanView::of(&balance, &limits))
}

/// The shards as the directory tells them now, with the moves that are open.
async fn balance(admin: &Admin) -> Result<Balance, Failure> {
    let told = shards::all(admin).await?;
    let told: Result<Vec<Option<Load>>, IdError> = told.iter().map(Load::told).collect();
    let open: Vec<rpc::Move> = moves::all(admin, "open").await?;
    let open: Result<Vec<OpenMove>, IdError> = open.iter().map(OpenMove::told).collect();
    let loads: Vec<Load> = told.map_err(no_name)?.into_iter().flatten().collect();
    Ok(Balance::of(&loads, &open.map_err(no_name)?))
}

fn no_name(error: IdError) -> Failure {
    Failure::Refused(format!("The directory tells of a shard, but {error}."))
}
