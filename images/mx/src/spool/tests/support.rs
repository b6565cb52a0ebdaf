//! What the spool's tests share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kit::lifecycle::{DRAIN, Shutdown};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use segments::sim::SimDisk;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::ids::{AccountId, DeliveryId, Epoch, ShardName, TransactionId};

use crate::door::Door;
use crate::spool::config::Sleep;
use crate::spool::queue::Away;
use crate::spool::{
    Clock, Config, Deliverer, Entry, EntryId, Job, NewEntry, NewTarget, Outcome, Spool, Target,
    runner,
};

/// Time that stands still until everything due is done.
#[derive(Clone)]
pub(super) struct Time(watch::Sender<i64>);

impl Time {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn now(&self) -> i64 {
        *self.0.borrow()
    }

    /// The clock that a spool gets; without chance.
    pub(super) fn clock(&self) -> Clock {
        let (now, sleeper) = (self.clone(), self.clone());
        Clock {
            now_ms: Arc::new(move || now.now()),
            chance: Arc::new(|| 0.0),
            sleep: Arc::new(move |wait| sleeper.sleep(wait)),
        }
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        let mut watched = self.0.subscribe();
        let end = self.now() + wait.as_millis() as i64;
        Box::pin(async move {
            let _ = watched.wait_for(|now| *now >= end).await;
        })
    }

    /// Lets time pass until something holds.
    pub(super) async fn until(&self, what: &str, spool: &Spool, holds: impl Fn() -> bool) {
        let patience = Duration::from_secs(60);
        let passing = async {
            while !holds() {
                let counts = spool.counts();
                let in_flight = counts.pending - counts.waiting.values().sum::<usize>();
                let due = spool.due().into_iter().map(|(_, due)| due).min();
                let next = due.unwrap_or(i64::MAX).min(self.now() + 60_000);
                if in_flight == 0 && next > self.now() {
                    self.0.send_replace(next);
                }
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(patience, passing).await;
        assert!(ended.is_ok(), "never: {what}");
    }

    /// Lets some time pass.
    pub(super) async fn pass(&self, spool: &Spool, milliseconds: u64) {
        let end = self.now() + milliseconds as i64;
        self.until("time", spool, || self.now() >= end).await;
    }
}

/// Small segments.
pub(super) fn config() -> Config {
    Config {
        segment_bytes: 16 << 10,
        ..Config::default()
    }
}

pub(super) fn open(sim: &SimDisk, time: &Time) -> Spool {
    Spool::open(sim.disk(), config(), time.clock()).unwrap()
}

pub(super) fn shard(number: u64) -> ShardName {
    format!("shard-{number}").parse().unwrap()
}

pub(super) fn account(number: u64) -> AccountId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    AccountId::from_bytes(bytes)
}

/// A message for accounts, account n on shard n % 2; its number is its delivery id.
pub(super) fn message(number: u64, length: usize, accounts: &[u64]) -> NewEntry {
    let target = |account: &u64| NewTarget {
        account: self::account(*account),
        epoch: Epoch(1),
        shard: shard(account % 2),
        prefix: Bytes::from(format!("Delivered-To: {account}@example.org\r\n")),
        recipient: format!("{account}@example.org"),
        at_once: false,
    };
    let body = Bytes::from(body(number, length));
    NewEntry {
        transaction_id: TransactionId::random(),
        delivery_id: DeliveryId::from_bytes(*account(number).as_bytes()),
        reverse_path: "sender@example.com".to_owned(),
        received_at_ms: 0,
        body: vec![body.slice(..length / 2), body.slice(length / 2..)],
        targets: accounts.iter().map(target).collect(),
    }
}

pub(super) fn body(number: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (number * 31 + i * 7) as u8)
        .collect()
}

/// The number of a message made by [`message`].
pub(super) fn number(entry: &Entry) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&entry.delivery_id.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

type Script = dyn Fn(&Job, &Target, u32) -> Outcome + Send + Sync;

/// A deliverer that follows a script and remembers what it delivered, and when.
pub(super) struct Shards {
    script: Box<Script>,
    /// (message, account) and milliseconds.
    pub(super) tried: Mutex<Vec<(u64, AccountId, u64)>>,
    pub(super) delivered: Mutex<HashMap<(u64, AccountId), usize>>,
    /// Now, and at most.
    under_way: Mutex<(usize, usize)>,
    time: Time,
}

impl Shards {
    /// `script` gets how often this message was tried for this target before.
    pub(super) fn new(
        time: &Time,
        script: impl Fn(&Job, &Target, u32) -> Outcome + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            tried: Mutex::default(),
            delivered: Mutex::default(),
            under_way: Mutex::default(),
            time: time.clone(),
        })
    }

    /// Seconds at which a message was tried.
    pub(super) fn seconds(&self, message: u64) -> Vec<u64> {
        let tried = self.tried.lock();
        let of_message = tried.iter().filter(|(number, ..)| *number == message);
        of_message.map(|(.., at)| at / 1000).collect()
    }

    /// How often anything was tried for an account.
    pub(super) fn tries(&self, account: AccountId) -> usize {
        let tried = self.tried.lock();
        tried
            .iter()
            .filter(|(_, tried, _)| *tried == account)
            .count()
    }

    /// Deliveries that were under way at the same time, over all shards.
    pub(super) fn most_at_once(&self) -> usize {
        self.under_way.lock().1
    }

    /// How many messages were delivered to how many accounts, each how often at most.
    pub(super) fn totals(&self) -> (usize, usize) {
        let delivered = self.delivered.lock();
        let most = delivered.values().copied().max().unwrap_or(0);
        (delivered.len(), most)
    }
}

impl Deliverer for Shards {
    async fn deliver(&self, job: Job) -> Vec<Outcome> {
        let _under_way = UnderWay::new(self);
        let number = number(&job.entry);
        let mut read = Vec::new();
        loop {
            let Ok(chunk) = job.body.chunk(read.len() as u64).await else {
                return Vec::new();
            };
            if chunk.is_empty() {
                break;
            }
            read.extend_from_slice(&chunk);
        }
        assert_eq!(read, body(number, read.len()), "message {number}");
        let now = self.time.now() as u64;
        let mut outcomes = Vec::new();
        for target in &job.targets {
            let key = (number, target.account);
            let before = {
                let mut tried = self.tried.lock();
                tried.push((number, target.account, now));
                tried.iter().filter(|(n, a, _)| (*n, *a) == key).count() as u32 - 1
            };
            let outcome = (self.script)(&job, target, before);
            if outcome == Outcome::Done {
                *self.delivered.lock().entry(key).or_default() += 1;
            }
            outcomes.push(outcome);
        }
        outcomes
    }
}

/// Counts a delivery while it lasts.
struct UnderWay<'a>(&'a Shards);

impl<'a> UnderWay<'a> {
    fn new(shards: &'a Shards) -> Self {
        let mut under_way = shards.under_way.lock();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
        Self(shards)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().0 -= 1;
    }
}

/// Gives an entry up for all its recipients and removes it.
pub(super) async fn drop_now(spool: &Spool, id: EntryId) {
    let entry = spool.show(id).unwrap();
    for target in entry.targets {
        let round = Away::default().round(&target.shard);
        let dead = Outcome::Dead("a test says so".to_owned());
        spool.settle(id, (&target.shard, round), vec![(target.index, dead)]);
    }
    let removed = spool.remove(id).await.unwrap();
    assert!(removed.is_dead() && spool.show(id).is_none());
}

/// An open door with nobody inside.
pub(super) fn door() -> Door {
    Door::new(Gauge::default())
}

/// Starts the runner.
pub(super) fn start(spool: &Spool, shards: &Arc<Shards>) -> (Shutdown, JoinHandle<()>) {
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let running = runner::run(spool.clone(), Arc::clone(shards), shutdown.clone());
    (shutdown, tokio::spawn(running))
}
