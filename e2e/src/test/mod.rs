//! `cargo e2e test`: what must hold before a change lands, counted.

mod counts;
mod etcd;
mod packages;
mod suite;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::say;
use counts::Counts;

/// Which tests, and whether to ask before installing what they need.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only one kind.
    #[arg(long, value_enum)]
    pub only: Option<Kind>,
    /// Install missing system packages without asking.
    #[arg(long)]
    pub yes: bool,
}

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// At the foot of the sources: no other process, no fixed port.
    Unit,
    /// Each crate's tests/it: real sockets, real etcd, real mail programs.
    Integration,
}

/// Runs them; true when all passed.
pub fn run(args: TestArgs) -> Result<bool> {
    let wanted = |kind| args.only.is_none_or(|only| only == kind);
    let started = Instant::now();
    let mut all = Counts::default();
    if wanted(Kind::Unit) {
        all += suite::run("unit", &["--lib", "--bins"], &[])?;
    }
    if wanted(Kind::Integration) {
        packages::provide(args.yes)?;
        let etcd = etcd::provide()?;
        let bin = crate::binaries::build(say::line)?;
        let places = [("BUZONERA_ETCD", etcd), (crate::binaries::FOLDER, bin)];
        all += suite::run("integration", &["--test", "*"], &places)?;
    }
    say::line(&format!("took {} s", started.elapsed().as_secs()));
    say::line(&format!("{} passed, {} failed", all.passed, all.failed));
    Ok(all.is_good())
}
