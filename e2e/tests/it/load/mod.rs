//! Mail that flows, is read and deleted while accounts move, whatever happens to the tiers meanwhile;
//! and the count at the end: every acknowledged message is there, once, and stays until it is
//! deleted; what was deleted stays away; every move comes to its end; nobody known is unknown.

mod reading;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::{Admin, Cluster};
use e2e::ledger::{Answer, Ledger};
use e2e::maildrop::Maildrop;
use e2e::message::{Random, compose, is_whole, number};
use e2e::{say, smtp, wait};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use wire::rpc::MovePhase;

use reading::{Maildrops, Pop3};

const ACCOUNTS: u64 = 20;
const SENDERS: u64 = 4;
const READERS: u64 = 2;
/// The shards that accounts move between.
pub(crate) const SHARDS: [&str; 2] = ["shard-1", "shard-2"];
const PASSWORD: &str = "knock knock";
const FROM: &str = "keeper@example.net";

/// The largest message: some are longer than one chunk between tiers.
const LARGEST: usize = 400 << 10;

/// For what is left to do once nothing happens to the tiers any more.
pub(crate) const SETTLE: Duration = Duration::from_secs(180);

/// What senders, readers and movers share.
struct Load {
    smtp: std::net::SocketAddr,
    ledger: Mutex<Ledger>,
    stop: AtomicBool,
    next: AtomicU64,
    moves: AtomicU64,
    deleted: AtomicU64,
}

/// A load that is under way.
pub(crate) struct Running {
    /// Of the test, for what it prints.
    name: &'static str,
    load: Arc<Load>,
    pop3: Pop3,
    work: JoinSet<Result<()>>,
    readers: JoinSet<Result<Maildrops>>,
}

impl Running {
    /// Makes the accounts and lets senders, readers and movers begin; `seed` repeats their choices.
    pub(crate) async fn begin(name: &'static str, cluster: &Cluster, seed: u64) -> Result<Self> {
        let admin = cluster.admin(0)?;
        admin.add_domain("example.org").await?;
        for account in 0..ACCOUNTS {
            admin.add_account(&address(account), PASSWORD, "").await?;
        }
        let load = Arc::new(Load {
            smtp: cluster.smtp,
            ledger: Mutex::default(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            moves: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        });
        let pop3 = Pop3 {
            address: cluster.pop3s,
            tls: cluster.trust()?,
        };
        let (mut work, mut readers) = (JoinSet::new(), JoinSet::new());
        for sender in 0..SENDERS {
            work.spawn(send(load.clone(), Random::new(seed ^ sender)));
        }
        for replica in 0..2 {
            let random = Random::new(seed ^ 100 ^ replica as u64);
            work.spawn(start_moves(load.clone(), cluster.admin(replica)?, random));
        }
        for reader in 0..READERS {
            let mine = (0..ACCOUNTS).filter(|account| account % READERS == reader);
            let mine = mine.map(|account| (account, Maildrop::default())).collect();
            let random = Random::new(seed ^ 300 ^ reader);
            readers.spawn(reading::read(load.clone(), pop3.clone(), mine, random));
        }
        Ok(Self {
            name,
            load,
            pop3,
            work,
            readers,
        })
    }

    /// Messages acknowledged so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.load.ledger.lock().verdict().accepted
    }

    /// Ends the load, lets moves and spool come to their ends, and counts.
    pub(crate) async fn end(mut self, cluster: &Cluster) -> Result<()> {
        self.load.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.work.join_next().await {
            done??;
        }
        let mut maildrops = Maildrops::new();
        while let Some(done) = self.readers.join_next().await {
            maildrops.extend(done??);
        }
        let moved = moves_end(&cluster.admin(0)?).await?;
        let asked = self.load.moves.load(Ordering::Relaxed);
        let deleted = self.load.deleted.load(Ordering::Relaxed);
        say::line(&format!(
            "{}: {asked} moves asked for, {moved} done, {deleted} messages deleted",
            self.name
        ));
        ensure!(asked > 0 && moved > 0, "nothing moved");
        ensure!(deleted > 0, "nothing was deleted");
        verify(self.name, &self.pop3, &self.load, maildrops).await
    }
}

/// A number that the environment may set.
pub(crate) fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn address(account: u64) -> String {
    format!("user{account}@example.org")
}

/// Sends one message after the other, each until it is accepted, as a mail server does.
async fn send(load: Arc<Load>, mut random: Random) -> Result<()> {
    while !load.stop.load(Ordering::Relaxed) {
        let mark = load.next.fetch_add(1, Ordering::Relaxed);
        let to = address(random.below(ACCOUNTS));
        let text = compose(mark, FROM, &to, random.size(LARGEST));
        wait::until("a message is accepted", SETTLE, || async {
            let (answer, said) = attempt(&load, &to, &text).await;
            load.ledger.lock().sent(mark, &to, answer);
            match answer {
                Answer::Accepted => Ok(Ok(())),
                // Nobody whom the test made is ever unknown, whatever is away.
                Answer::Refused if said.starts_with('5') => {
                    Ok(Err(anyhow::anyhow!("{to} refused for good: {said}")))
                }
                Answer::Refused | Answer::Unknown => Err(said),
            }
        })
        .await??;
    }
    Ok(())
}

async fn attempt(load: &Load, to: &str, text: &str) -> (Answer, String) {
    let sent = async {
        let mut client = smtp::Client::connect(load.smtp, "EHLO client.example.net").await?;
        let answered = client.send(FROM, to, text).await?;
        client.quit().await;
        Ok::<_, anyhow::Error>(answered)
    };
    match sent.await {
        Ok((answer, reply)) => (answer, format!("{} {}", reply.code, reply.text)),
        // Before the body: nothing was sent.
        Err(error) => (Answer::Refused, format!("{error:#}")),
    }
}

/// Asks for moves of random accounts; that some are refused belongs to it.
async fn start_moves(load: Arc<Load>, admin: Admin, mut random: Random) -> Result<()> {
    while !load.stop.load(Ordering::Relaxed) {
        let (account, target) = (address(random.below(ACCOUNTS)), random.below(2));
        let target = SHARDS[usize::try_from(target)?];
        if admin.start_move(&account, target).await.is_ok() {
            load.moves.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
    }
    Ok(())
}

/// Waits until no move is open; how many of those remembered are Done.
async fn moves_end(admin: &Admin) -> Result<usize> {
    wait::until("every move is over", SETTLE, || async {
        let open = admin.moves(true).await.map_err(anyhow::Error::from)?;
        ensure!(open.is_empty(), "open: {open:?}");
        Ok(())
    })
    .await?;
    let all = admin.moves(false).await?;
    for one in &all {
        let over = matches!(one.phase(), MovePhase::Done | MovePhase::Aborted);
        ensure!(over, "neither Done nor Aborted: {one:?}");
    }
    Ok(all
        .iter()
        .filter(|one| one.phase() == MovePhase::Done)
        .count())
}

/// Reads every mailbox until all that was accepted is there (the spool may still hold some), then
/// looks once more that nothing is there twice.
async fn verify(name: &str, pop3: &Pop3, load: &Load, maildrops: Maildrops) -> Result<()> {
    let maildrops = tokio::sync::Mutex::new(maildrops);
    let verdict = wait::until("all that was accepted is there", SETTLE, || async {
        let mut maildrops = maildrops.lock().await;
        let mut ledger = load.ledger.lock().clone();
        for (mark, account) in read_all(pop3, &mut maildrops).await? {
            ledger.read(mark, &account);
        }
        let verdict = ledger.verdict();
        ensure!(verdict.lost == 0, "{verdict}");
        Ok::<_, anyhow::Error>(verdict)
    })
    .await?;
    say::line(&format!("{name}: {verdict}"));
    ensure!(verdict.is_good(), "{verdict}");
    Ok(())
}

async fn read_all(pop3: &Pop3, maildrops: &mut Maildrops) -> Result<Vec<(u64, String)>> {
    let mut all = Vec::new();
    for (account, maildrop) in maildrops {
        let address = address(*account);
        let mut client = pop3.login(&address).await?;
        let read = client.read_all().await?;
        reading::check(&address, maildrop, read.iter().map(|(id, _)| id))?;
        for (_, octets) in read {
            let mark = number(&octets).context("a message that was never sent")?;
            ensure!(whole(&octets, mark, &address), "message {mark} is damaged");
            all.push((mark, address.clone()));
        }
        client.quit().await?;
    }
    Ok(all)
}

/// The text behind the servers' lines is what was sent: composed anew, at its own length.
fn whole(octets: &[u8], mark: u64, to: &str) -> bool {
    let sent = compose(mark, FROM, to, 0);
    let header = sent.trim_end_matches("\r\n").as_bytes();
    let Some(at) = octets
        .windows(header.len())
        .position(|window| window == header)
    else {
        return false;
    };
    let text = &octets[at..];
    is_whole(
        octets,
        &compose(mark, FROM, to, text.len().saturating_sub(2)),
    ) || is_whole(octets, &compose(mark, FROM, to, text.len()))
}
