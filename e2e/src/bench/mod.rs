//! `cargo e2e bench`: how fast, at what cost. Numbers, not tests.

mod cpu;
mod delivery;
mod load;
mod lookup;
mod population;
mod restart;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::{binaries, places, say};

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A folder on the file system to measure; emptied first. Default: .e2e/bench
    #[arg(long, global = true)]
    pub folder: Option<PathBuf>,
    /// What to measure.
    #[command(subcommand)]
    pub what: What,
}

/// Benchmarks.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Durable deliveries a second through MX.
    Delivery(delivery::DeliveryArgs),
    /// Directory lookups a second, in process and over gRPC, and memory per account.
    Lookup(lookup::LookupArgs),
    /// How soon mail is readable after its shard was killed and started again, and how much is
    /// spooled meanwhile. Needs etcd, which `cargo e2e test` builds.
    Restart(restart::RestartArgs),
}

/// Runs it; in a release build, whatever this one is.
pub fn run(args: BenchArgs) -> Result<bool> {
    if cfg!(debug_assertions) {
        return again_in_release();
    }
    let folder = fresh(args.folder)?;
    say::line(&format!("{}, {} cores", file_system(&folder)?, cores()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.what {
            What::Delivery(args) => delivery::run(args, &folder).await,
            What::Lookup(args) => lookup::run(args, &folder).await,
            What::Restart(args) => restart::run(args, &folder).await,
        }
    })?;
    std::fs::remove_dir_all(&folder)?;
    Ok(true)
}

/// Builds everything in release mode and becomes the same program there.
fn again_in_release() -> Result<bool> {
    say::line("building in release mode…");
    binaries::build_release(say::line)?;
    let target = std::env::current_exe()?;
    let target = target
        .parent()
        .and_then(Path::parent)
        .context("cargo's target folder")?;
    let error = Command::new(target.join("release/e2e"))
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("the release build does not start")
}

const MARK: &str = ".buzonera-bench";

fn fresh(folder: Option<PathBuf>) -> Result<PathBuf> {
    let folder = folder.unwrap_or_else(|| places::scratch().join("bench"));
    if folder.join(MARK).exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if std::fs::read_dir(&folder)?.next().is_some() {
        bail!("{} is not empty and no benchmark made it", folder.display());
    }
    std::fs::write(folder.join(MARK), "")?;
    Ok(folder.canonicalize()?)
}

/// Names the file system; refuses those where a sync costs nothing or means something else.
fn file_system(folder: &Path) -> Result<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let (at, kind) = mounts
        .lines()
        .filter_map(mount)
        .filter(|(at, _)| folder.starts_with(at))
        .max_by_key(|(at, _)| at.len())
        .context("the folder is on no file system")?;
    if ["tmpfs", "ramfs", "overlay"].contains(&kind.as_str()) {
        bail!("{at} is {kind}: name a folder on a real file system with --folder");
    }
    Ok(format!("{kind} at {at}"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
