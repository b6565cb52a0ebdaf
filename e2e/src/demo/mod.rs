//! `cargo e2e demo`: Palomar at work, and in trouble, before your eyes.
//!
//! One `palomar local`, mail at a steady rate, half of the accounts moved to the other shard and
//! back meanwhile, everything killed in the middle; then every mailbox is read and counted.

mod moves;
mod population;
mod reading;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::real::Sender;
use crate::site::Site;
use crate::{binaries, places, say};
use population::Population;
use traffic::Traffic;

/// How large the demo is.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Accounts; half of them move.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub accounts: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub rate: u32,
    /// Seconds of mail before, between and after the moves.
    #[arg(long, default_value_t = 5)]
    pub calm: u64,
    /// A folder of its own; emptied first. Default: .e2e/demo
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Runs it; true when nothing was lost or doubled.
pub fn run(args: DemoArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(play(args))
}

async fn play(args: DemoArgs) -> Result<bool> {
    let began = Instant::now();
    let sender = Sender::found()?;
    let folder = fresh(args.folder.clone())?;
    // What runs in another folder must be named by its whole path.
    let bin = step("build", async { binaries::folder() }).await?;
    let mut site = step("start palomar local", Site::start(&folder, &[])).await?;
    let population = Population::of(args.accounts);
    let what = format!("add {} accounts", args.accounts);
    step(&what, population.join(&site)).await?;
    let (from, to) = ("its shard", "the other shard");
    let traffic = Traffic::start(sender, site.ports().smtp, args.rate, &population);
    say::line(&format!(
        "      from now on {} messages a second flow, sent with {}",
        args.rate,
        sender.name()
    ));
    step("let mail flow", calm(args.calm)).await?;
    let homes = population.homes(&site)?;
    let half = homes.half();
    let there = format!(
        "move {} accounts from {from} to {to}, and kill everything",
        half.len()
    );
    let mut moved = step(&there, moves::with_a_kill(&mut site, &half.targets())).await?;
    step("let mail flow", calm(args.calm)).await?;
    moved += step("move them back", moves::all(&site, &half.origins())).await?;
    step("let mail flow", calm(args.calm)).await?;
    let sent = step("stop sending, answers for all", async { traffic.finish() }).await?;
    let reading = reading::all(&site, &population, sent.ledger);
    let verdict = step("read all mailboxes with curl over TLS", reading).await?;
    say::line("");
    say::line(&format!("  {:<16} {}", "sent", verdict.sent));
    say::line(&format!("  {:<16} {}", "accepted", verdict.accepted));
    say::line(&format!("  {:<16} {}", "read back", verdict.read));
    say::line(&format!("  {:<16} {}", "lost", verdict.lost));
    say::line(&format!("  {:<16} {}", "doubled", verdict.doubled));
    say::line(&format!(
        "  {:<16} {} (the connection broke before the answer; {} of them were sent again)",
        "unknown", sent.broken, sent.again
    ));
    say::line(&format!("  {:<16} {moved}", "accounts moved"));
    verdict
        .faults
        .iter()
        .for_each(|fault| say::line(&format!("  {fault}")));
    step("stop palomar local", site.stop()).await?;
    say::line(&format!("\ntook {} s", began.elapsed().as_secs()));
    how_to_go_on(&site, &bin.join("palomar"), &population);
    Ok(verdict.is_good() && verdict.unknown == 0 && moved == 2 * half.len())
}

async fn calm(seconds: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(())
}

/// Says what is done and how long it took.
async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    say::part(&format!("  {what} … "));
    let began = Instant::now();
    let done = work.await;
    let seconds = began.elapsed().as_secs_f64();
    match &done {
        Ok(_) => say::line(&format!("{seconds:.1} s")),
        Err(_) => say::line(&format!("failed after {seconds:.1} s")),
    }
    done.with_context(|| what.to_owned())
}

/// A file in a folder that a demo made: only such a folder is emptied.
const MARK: &str = ".palomar-demo";

fn fresh(folder: Option<PathBuf>) -> Result<PathBuf> {
    let folder = folder.unwrap_or_else(|| places::scratch().join("demo"));
    if folder.join(MARK).exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if std::fs::read_dir(&folder)?.next().is_some() {
        bail!("{} is not empty and no demo made it", folder.display());
    }
    std::fs::write(folder.join(MARK), "")?;
    Ok(folder.canonicalize()?)
}

fn how_to_go_on(site: &Site, palomar: &Path, population: &Population) {
    let palomar = palomar.display();
    let (address, password) = population.first();
    let pop3s = site.ports().pop3s;
    say::line("Go on by hand: the data is still there.\n");
    say::line(&format!("  cd {}", site.folder().display()));
    say::line(&format!(
        "  {palomar} local {}",
        site.ports().flags().join(" ")
    ));
    say::line("\nand in another terminal in that folder:\n");
    say::line(&format!("  {palomar} shards"));
    say::line(&format!("  {palomar} account show {address}"));
    say::line(&format!(
        "  curl --cacert palomar-data/ca.pem --user {address}:{password} pop3s://127.0.0.1:{pop3s}/"
    ));
}
