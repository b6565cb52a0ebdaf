//! `cargo e2e demo`: Buzonera at work, and in trouble, before your eyes.
//!
//! One `buzonera local`, mail at a steady rate, half of the accounts moved to the other shard and
//! back meanwhile, everything killed in the middle; then every mailbox is read and counted.

mod moves;
mod population;
mod reading;
mod report;
mod steps;
mod traffic;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::real::{Reader, Sender};
use crate::site::Site;
use crate::{binaries, places, say};
use population::Population;
use report::Report;
use steps::{Step, step};
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

/// Between two looks at the traffic.
const LOOK: Duration = Duration::from_millis(200);

/// Runs it; true when nothing was lost or doubled.
pub fn run(args: DemoArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(play(args))
}

async fn play(args: DemoArgs) -> Result<bool> {
    let began = Instant::now();
    let (sender, reader) = (Sender::found()?, Reader::found()?);
    let folder = fresh(args.folder.clone())?;
    say::line(&format!(
        "{} accounts; {} messages a second, sent with {}, read with {} over TLS.\nAll of it is in {}.\n",
        args.accounts,
        args.rate,
        sender.name(),
        reader.name(),
        folder.display()
    ));
    // What runs in another folder must be named by its whole path.
    let bin = step("build Buzonera", async |step: &Step| {
        let built = binaries::folder(|compiling| step.is(compiling));
        step.is("");
        built
    })
    .await?;
    let mut site = step("start buzonera local", async |_: &Step| {
        let site = Site::start(&folder, &[]).await?;
        site.has_room().map(|()| site)
    })
    .await?;
    let population = Population::of(args.accounts);
    step("add the accounts", async |_: &Step| population.join(&site)).await?;

    let traffic = Traffic::start(sender, site.ports().smtp, args.rate, &population);
    calm(&traffic, args.calm).await?;
    let half = population.homes(&site)?.half();
    let targets = half.targets();
    let what = format!("move {} accounts to the other shard", half.len());
    step(&what, async |step: &Step| {
        moves::half(step, &site, &targets).await
    })
    .await?;
    step("kill -9 everything, start again", async |step: &Step| {
        moves::kill(step, &mut site, &traffic).await
    })
    .await?;
    let there = step("go on moving", async |step: &Step| {
        moves::rest(step, &site, &targets).await
    })
    .await?;
    calm(&traffic, args.calm).await?;
    let back = step("move them back", async |step: &Step| {
        moves::all(step, &site, &half.origins()).await
    })
    .await?;
    calm(&traffic, args.calm).await?;
    let sent = step(
        "end it, with an answer for every message",
        async |_: &Step| traffic.finish(),
    )
    .await?;
    let verdict = step("read every mailbox", async |step: &Step| {
        reading::all(step, reader, &site, &population, sent.ledger)
    })
    .await?;
    let (first, _) = population.first();
    let home = population
        .homes(&site)?
        .of(first)
        .unwrap_or_default()
        .to_owned();
    step("stop buzonera local", async |_: &Step| site.stop().await).await?;

    let report = Report {
        verdict,
        unknown: sent.unknown,
        moved: there + back,
        to_move: 2 * half.len(),
        took: began.elapsed(),
    };
    report.show();
    report::how_to_go_on(&site, &bin.join("buzonera"), &population, &home);
    Ok(report.is_good())
}

/// Lets mail flow for a while.
async fn calm(traffic: &Traffic, seconds: u64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds);
    step("let mail flow", async |step: &Step| {
        while Instant::now() < until {
            step.is(&traffic.so_far());
            tokio::time::sleep(LOOK).await;
        }
        step.is(&traffic.so_far());
        Ok(())
    })
    .await
}

/// A file in a folder that a demo made: only such a folder is emptied.
const MARK: &str = ".buzonera-demo";

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
