//! `bench lookup`: the directory's lookups, in process and over gRPC, and memory per account.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use directory::map::Shared;
use directory::resolve::{self, Verdict};
use directory::store::SharedStore;
use directory::store::embedded::{self, Embedded};
use directory::{Config, Directory, StoreAt};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::{Frame, Tier as _};
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::directory::DirectoryOptions;
use kit::rpc::{DirectoryClient, Replica};
use kit::tls::Credentials;
use wire::answer::Answer;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;
use wire::rpc::ResolveQuery;
use wire::rpc::resolve_query::Subject;

use super::{cores, cpu, population};
use crate::message::Random;
use crate::say;

/// How many.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// Accounts in the directory.
    #[arg(long, default_value_t = 1_000_000)]
    pub accounts: u64,
    /// Callers at the same time, over gRPC.
    #[arg(long, default_value_t = 64)]
    pub callers: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

/// Measures and prints.
pub(super) async fn run(args: LookupArgs, folder: &Path) -> Result<()> {
    let cluster = ClusterId::random();
    say::line(&format!("writing {} accounts…", args.accounts));
    let began = Instant::now();
    let store = Embedded::open(&folder.join("store"), embedded::Options::default()).await?;
    let store: SharedStore = Arc::new(store);
    population::fill(&store, cluster, args.accounts).await?;
    say::line(&format!(
        "written      in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let replica = start(store, cluster, folder, args.accounts).await?;
    in_process(&args, &replica.map)?;
    for batch in [1, 16] {
        over_grpc(&args, &replica.client, batch).await?;
    }
    replica.shutdown.trigger_now();
    Ok(())
}

struct Running {
    map: Arc<Shared>,
    client: DirectoryClient,
    shutdown: Shutdown,
}

/// Opens a replica over the store, and says what its map costs.
async fn start(
    store: SharedStore,
    cluster: ClusterId,
    folder: &Path,
    accounts: u64,
) -> Result<Running> {
    let identities = identities(cluster, folder)?;
    let before = cpu::resident()?;
    let began = Instant::now();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let unused = StoreAt::Embedded(folder.join("store"));
    let config = Config::new(identities.directory, loopback, unused);
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let frame = Frame::new::<Directory>(&config.identity, &Admin::default(), &shutdown)?;
    let directory = Directory::over(config, store, &frame)?;
    let (map, address) = (directory.map(), directory.addr());
    tokio::spawn(async move { directory.serve(frame).await });
    while (map.read().account_count() as u64) < accounts {
        if began.elapsed() > Duration::from_secs(300) {
            bail!("the directory does not load");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    let bytes = map.read().bytes() as u64;
    let resident = cpu::resident()?.saturating_sub(before);
    say::line(&format!("loaded       in {took:.1} s"));
    say::line(&format!(
        "memory       {} bytes per account in the map; the process grew by {} per account",
        bytes / accounts,
        resident / accounts
    ));
    let replica = Replica {
        instance: "directory-0".to_owned(),
        endpoint: address.to_string(),
    };
    let credentials = Credentials::load(&identities.mx)?;
    let client = DirectoryClient::new(&[replica], &credentials, DirectoryOptions::default())?;
    // Loaded, it answers once it has proved that it is current.
    while client.resolve(vec![ResolveQuery::default()]).await == [Answer::NotMe] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Running {
        map,
        client,
        shutdown,
    })
}

struct Identities {
    directory: std::path::PathBuf,
    mx: std::path::PathBuf,
}

fn identities(cluster: ClusterId, folder: &Path) -> Result<Identities> {
    let authority = Authority::create(&folder.join("authority"), cluster)?;
    let folders = Identities {
        directory: folder.join("directory-0"),
        mx: folder.join("mx-0"),
    };
    let directory = Identity::new(cluster, Tier::Directory, "directory-0")?;
    authority.issue(&directory, &folders.directory)?;
    authority.issue(&Identity::new(cluster, Tier::Mx, "mx-0")?, &folders.mx)?;
    Ok(folders)
}

/// One thread per core asks the map itself.
fn in_process(args: &LookupArgs, map: &Shared) -> Result<()> {
    let seconds = Duration::from_secs(args.seconds);
    let counts: Result<Vec<u64>> = std::thread::scope(|scope| {
        let ask = |seed| scope.spawn(move || ask_map(map, seed, args.accounts, seconds));
        let threads: Vec<_> = (0..cores() as u64).map(ask).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
        };
        threads.into_iter().map(join).collect()
    });
    let all: u64 = counts?.iter().sum();
    let rate = all as f64 / seconds.as_secs_f64();
    let threads = cores();
    say::line(&format!(
        "in process   {rate:.0} lookups a second on {threads} threads"
    ));
    Ok(())
}

fn ask_map(map: &Shared, seed: u64, accounts: u64, seconds: Duration) -> Result<u64> {
    let mut random = Random::new(seed);
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < seconds {
        for _ in 0..100 {
            let address = population::address(random.below(accounts));
            let verdict = resolve::address(&map.read(), &address);
            if !matches!(verdict, Verdict::Yes(_)) {
                bail!("{address} is not found");
            }
        }
        count += 100;
    }
    Ok(count)
}

/// Callers over one mutual-TLS connection each ask for `batch` addresses at a time.
async fn over_grpc(args: &LookupArgs, client: &DirectoryClient, batch: usize) -> Result<()> {
    let before = cpu::used("self")?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let caller = |seed| {
        let client = client.clone();
        let accounts = args.accounts;
        tokio::spawn(async move { ask_replica(client, seed, accounts, batch, until).await })
    };
    let callers: Vec<_> = (0..args.callers as u64).map(caller).collect();
    let mut all = 0;
    for caller in callers {
        all += caller.await??;
    }
    let used = (cpu::used("self")? - before).as_secs_f64();
    let rate = all as f64 / Duration::from_secs(args.seconds).as_secs_f64();
    let each = used * 1e6 / all as f64;
    let calls = rate / batch as f64;
    say::line(&format!(
        "over gRPC    {rate:.0} lookups a second in batches of {batch} ({calls:.0} calls; \
         {each:.0} µs of CPU a lookup, both ends)"
    ));
    Ok(())
}

async fn ask_replica(
    client: DirectoryClient,
    seed: u64,
    accounts: u64,
    batch: usize,
    until: Instant,
) -> Result<u64> {
    let mut random = Random::new(seed);
    let mut count = 0;
    while Instant::now() < until {
        let query = |_| ResolveQuery {
            subject: Some(Subject::Address(population::address(
                random.below(accounts),
            ))),
            at_least_epoch: 0,
        };
        let answers = client.resolve((0..batch).map(query).collect()).await;
        let yes = |answer: &Answer| matches!(answer, Answer::Yes(_));
        let wrong = answers.iter().find(|answer| !yes(answer));
        if let Some(wrong) = wrong {
            return Err(anyhow::anyhow!("{wrong:?}")).context("not a yes");
        }
        count += batch as u64;
    }
    Ok(count)
}
