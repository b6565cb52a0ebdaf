//! `palomar local`: every tier in one process, on one machine.

pub mod args;
pub mod layout;
pub mod lock;
pub mod ports;
pub mod roster;
pub mod running;
pub mod screen;
pub mod shards;

pub use args::LocalArgs;

use crate::commands::session::Session;
use crate::failure::Failure;

/// Runs until asked to stop.
pub async fn run(args: LocalArgs, mut session: Session) -> Result<(), Failure> {
    let plan = shards::plan(&layout::Layout::new(&session.reach.data), args.shards)?;
    session
        .output
        .progress(&format!("{} shards are planned.", plan.len()))
}
