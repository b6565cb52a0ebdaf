//! One `buzonera local`, mail at a steady rate, half of the accounts moved to the other shard and
//! back meanwhile, everything killed in the middle; then every mailbox is read and counted.

use std::time::Instant;

use anyhow::Result;

use super::population::{DOMAIN, Population};
use super::report::{self, Report};
use super::steps::{Step, step};
use super::traffic::Traffic;
use super::{DemoArgs, calm, end, fresh, moves, reading};
use crate::real::{Reader, Sender};
use crate::site::Site;
use crate::{binaries, say};

/// Messages a second, unless told otherwise.
const RATE: u32 = 20;

/// Plays it; true when nothing was lost or doubled.
pub(super) async fn play(args: DemoArgs) -> Result<bool> {
    let began = Instant::now();
    let rate = args.rate.unwrap_or(RATE);
    let (sender, reader) = (Sender::found()?, Reader::found()?);
    let folder = fresh(args.folder.clone())?;
    say::line(&format!(
        "{} accounts; {} messages a second, sent with {}, read with {} over TLS.\nAll of it is in {}.\n",
        args.accounts,
        rate,
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
    step("add the accounts", async |_: &Step| {
        site.add_domain(DOMAIN)?;
        population.join(&site)
    })
    .await?;

    let traffic = Traffic::start(sender, Site::at(site.ports().smtp), rate, &population);
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
    let sent = end(traffic).await?;
    let verdict = step("read every mailbox", async |step: &Step| {
        reading::all(
            step,
            reader,
            &site.pop3s(),
            &folder,
            &population,
            sent.ledger,
        )
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
