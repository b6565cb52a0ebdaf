//! `bench delivery`: durable deliveries a second, through MX to the shards of a `buzonera local`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::cpu;
use super::load::{Done, Load};
use crate::site::Site;
use crate::{metrics, say};

/// How much load.
#[derive(Debug, Args)]
pub struct DeliveryArgs {
    /// Connections that deliver at the same time.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Accounts that mail is for, on two shards.
    #[arg(long, default_value_t = 1000)]
    pub accounts: u32,
    /// Seconds of load.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// The largest message, in octets; sizes are log-normal with a median of 9,282.
    #[arg(long, default_value_t = 1 << 20)]
    pub largest: usize,
}

/// Measures and prints.
pub(super) async fn run(args: DeliveryArgs, folder: &Path) -> Result<()> {
    say::line("starting, adding accounts…");
    let mut site = Site::start(folder, &[]).await?;
    let recipients = people(&site, args.accounts)?;
    let buzonera = site.id().context("it runs")?.to_string();
    let (cpu, ours, syncs) = (cpu::used(&buzonera)?, cpu::used("self")?, syncs(&site)?);
    let began = Instant::now();
    let until = began + Duration::from_secs(args.seconds);
    let load = Load::new(Site::at(site.ports().smtp), recipients, args.largest, until);
    let done = load.run(args.connections).await?;
    let report = Report {
        took: began.elapsed(),
        cpu: cpu::used(&buzonera)? - cpu,
        ours: cpu::used("self")? - ours,
        syncs: self::syncs(&site)? - syncs,
        done,
    };
    report.print();
    stored(&site, report.done.messages)?;
    site.stop().await
}

struct Report {
    done: Done,
    took: Duration,
    cpu: Duration,
    ours: Duration,
    syncs: u64,
}

impl Report {
    fn print(&self) {
        let messages = self.done.messages as f64;
        let thousands = messages / 1000.0;
        let seconds = self.took.as_secs_f64();
        let mib = self.done.octets as f64 / f64::from(1 << 20);
        say::line(&format!(
            "deliveries   {:.0} a second ({} in {seconds:.1} s, mean {:.1} KiB, {:.1} MiB/s)",
            messages / seconds,
            self.done.messages,
            mib * 1024.0 / messages,
            mib / seconds
        ));
        say::line(&format!(
            "latency      p50 {} ms, p90 {} ms, p99 {} ms",
            self.time(50),
            self.time(90),
            self.time(99)
        ));
        say::line(&format!(
            "CPU          {:.2} s per 1,000, all tiers; the load generator took {:.2} s",
            self.cpu.as_secs_f64() / thousands,
            self.ours.as_secs_f64() / thousands
        ));
        say::line(&format!(
            "syncs        {:.0} per 1,000",
            self.syncs as f64 / thousands
        ));
    }

    fn time(&self, percent: usize) -> u128 {
        let times = &self.done.times;
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0, Duration::as_millis)
    }
}

/// Makes the accounts; who they are.
fn people(site: &Site, count: u32) -> Result<Vec<String>> {
    site.add_domain("example.org")?;
    let people: Vec<String> = (0..count).map(|n| format!("box{n}@example.org")).collect();
    let mut rows = "address\n".to_owned();
    for address in &people {
        let _written = writeln!(rows, "{address}");
    }
    std::fs::write(site.folder().join("users.csv"), rows)?;
    site.ask(&["import", "users.csv"], "")?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let list = site.ask(&["account", "list"], "")?;
        let active = |list: &Vec<serde_json::Value>| list.iter().all(|a| a["state"] == "active");
        if list.as_array().is_some_and(active) {
            return Ok(people);
        }
    }
    bail!("the shards do not make the accounts")
}

/// Every answered message is there.
fn stored(site: &Site, sent: u64) -> Result<()> {
    // Shards tell the directory their load every few seconds.
    let began = Instant::now();
    loop {
        let shards = site.ask(&["shards"], "")?;
        let shards = shards.as_array().context("a list")?.iter();
        let there: u64 = shards.filter_map(|shard| shard["messages"].as_u64()).sum();
        if there == sent {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(60) {
            bail!("{sent} were acknowledged, {there} are there");
        }
    }
}

/// Syncs of all heaps and of the spool so far.
fn syncs(site: &Site) -> Result<u64> {
    let text = metrics::text(site.ports().admin)?;
    let count = |name: &str| metrics::counter(&text, name).with_context(|| format!("no {name}"));
    let heaps = count("buzonera_storage_heap_syncs_total")?;
    Ok(heaps + count("buzonera_mx_spool_syncs_total")?)
}
