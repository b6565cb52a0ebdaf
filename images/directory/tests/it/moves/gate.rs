//! Stands between a driver of moves and all that it acts on: names what it does, in order, and
//! holds it just before or just after one of them.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt};
use kit::rpc::{BadEndpoint, Channel};
use kit::services::mover_client::MoverClient;
use kit::services::mover_server::{self, MoverServer};
use kit::services::shard_client::ShardClient;
use kit::services::shard_server::{self, ShardServer};
use palomar_directory::model::records::MoveRecord;
use palomar_directory::moves::{Replica, World};
use palomar_directory::store::{
    Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, SharedStore, Store, Txn,
};
use prost::Message as _;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use wire::ids::{AccountId, ShardName};
use wire::rpc;
use wire::rpc::{MoveCommand, MovePhase};

use crate::store_suite::PATIENCE;

/// Where a driver is held; effects count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Nowhere,
    Before(usize),
    After(usize),
}

/// Moves whose copies are under way, by key, and the most there were at a time.
#[derive(Default)]
struct Copying {
    now: HashSet<String>,
    most: usize,
}

/// Copies that are still to break off, how long each lasts, and the time that they have taken.
#[derive(Default)]
struct Breaking {
    copies: u32,
    lasting: Duration,
    taken: Duration,
}

pub(crate) struct Gate {
    hold: Hold,
    names: Mutex<Vec<String>>,
    copying: Mutex<Copying>,
    breaking: Mutex<Breaking>,
    /// Digests of each shard that are still to be pending.
    pending: Mutex<HashMap<String, u32>>,
    held: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn new(hold: Hold) -> Arc<Self> {
        Self::with(hold, Breaking::default(), HashMap::new())
    }

    /// So many copies break off, each after it has lasted so long by the driver's clock and brought
    /// a message.
    pub(crate) fn breaking_off(copies: u32, lasting: Duration) -> Arc<Self> {
        let breaking = Breaking {
            copies,
            lasting,
            taken: Duration::ZERO,
        };
        Self::with(Hold::Nowhere, breaking, HashMap::new())
    }

    /// Shards say so many times that their digests are pending.
    pub(crate) fn pending<const N: usize>(digests: [(&str, u32); N]) -> Arc<Self> {
        let pending = digests.map(|(shard, times)| (shard.to_owned(), times));
        Self::with(Hold::Nowhere, Breaking::default(), pending.into())
    }

    fn with(hold: Hold, breaking: Breaking, pending: HashMap<String, u32>) -> Arc<Self> {
        Arc::new(Self {
            hold,
            names: Mutex::default(),
            copying: Mutex::default(),
            breaking: Mutex::new(breaking),
            pending: Mutex::new(pending),
            held: watch::Sender::new(false),
            open: watch::Sender::new(false),
        })
    }

    /// What was done so far.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// The most copies that were under way at a time.
    pub(crate) fn most_copies(&self) -> usize {
        self.copying.lock().unwrap().most
    }

    /// Whether the next copy breaks off; the time that it lasts is over then.
    fn breaks_off(&self) -> bool {
        let mut guard = self.breaking.lock().unwrap();
        let breaking = &mut *guard;
        let breaks = breaking.copies > 0;
        if breaks {
            breaking.copies -= 1;
            breaking.taken += breaking.lasting;
        }
        breaks
    }

    /// Whether the shard's next digest is pending.
    fn is_pending(&self, shard: &str) -> bool {
        let mut pending = self.pending.lock().unwrap();
        match pending.get_mut(shard) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// The time that copies took which broke off.
    fn taken_ms(&self) -> i64 {
        let taken = self.breaking.lock().unwrap().taken;
        taken.as_millis().try_into().unwrap()
    }

    /// A move's record is to be written.
    fn writes(&self, key: &str, phase: MovePhase) {
        let mut copying = self.copying.lock().unwrap();
        match phase {
            MovePhase::Planned => {}
            MovePhase::Copying | MovePhase::Fencing | MovePhase::Verified => {
                copying.now.insert(key.to_owned());
            }
            _ => {
                copying.now.remove(key);
            }
        }
        copying.most = copying.most.max(copying.now.len());
    }

    /// Waits until the driver is held.
    pub(crate) async fn reached(&self) {
        let mut held = self.held.subscribe();
        let reached = tokio::time::timeout(PATIENCE, held.wait_for(|held| *held)).await;
        let found = self.names();
        reached
            .unwrap_or_else(|_| panic!("never {:?}, only {found:?}", self.hold))
            .unwrap();
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn effect<T>(&self, name: impl Into<String>, act: impl Future<Output = T>) -> T {
        let number = {
            let mut names = self.names.lock().unwrap();
            names.push(name.into());
            names.len()
        };
        self.pass(Hold::Before(number)).await;
        let done = act.await;
        self.pass(Hold::After(number)).await;
        done
    }

    async fn pass(&self, at: Hold) {
        if self.hold == at {
            self.held.send_replace(true);
            let mut open = self.open.subscribe();
            // The sender is in `self`.
            let _ = open.wait_for(|open| *open).await;
        }
    }
}

/// The store, with the writes of moves through the gate.
pub(crate) struct GatedStore {
    pub(crate) inner: SharedStore,
    pub(crate) gate: Arc<Gate>,
}

/// The move's record that a transaction writes, and its key.
fn written(txn: &Txn) -> Option<(&str, MoveRecord)> {
    let put = txn.puts.iter().find(|put| put.key.starts_with("moves/"))?;
    Some((&put.key, MoveRecord::decode(put.value.clone()).unwrap()))
}

fn name(record: &MoveRecord) -> String {
    let more = match record.phase() {
        MovePhase::Fencing if record.source_incarnation > 0 => ", fenced",
        MovePhase::Aborted if record.target_settled => ", settled",
        MovePhase::Aborted if record.source_settled => ", source settled",
        _ => "",
    };
    let phase = record.phase().as_str_name();
    let phase = phase.trim_start_matches("MOVE_PHASE_").to_lowercase();
    format!("write {phase}{more}")
}

impl Store for GatedStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn load(&self) -> Answer<'_, Load> {
        self.inner.load()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        self.inner.get(keys)
    }

    fn watch(
        &self,
        after: Revision,
    ) -> futures::stream::BoxStream<'static, Result<Changes, Error>> {
        self.inner.watch(after)
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.inner.head()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        let Some((key, record)) = written(&txn) else {
            return self.inner.commit(txn);
        };
        self.gate.writes(key, record.phase());
        let name = name(&record);
        Box::pin(self.gate.effect(name, self.inner.commit(txn)))
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        self.inner.grant(ttl)
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        self.inner.keep_alive(lease)
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.inner.revoke(lease)
    }
}

/// A replica whose calls to shards go through gates.
pub(crate) struct GatedWorld {
    pub(crate) replica: Replica,
    /// The gate before each shard.
    pub(crate) gates: HashMap<ShardName, String>,
    pub(crate) gate: Arc<Gate>,
}

impl World for GatedWorld {
    fn open_moves(&self) -> Vec<(AccountId, MovePhase)> {
        self.replica.open_moves()
    }

    fn ends(&self, account: AccountId) -> Option<(ShardName, ShardName)> {
        self.replica.ends(account)
    }

    fn holds_lease(&self, shard: &ShardName) -> bool {
        self.replica.holds_lease(shard)
    }

    async fn changed(&self) {
        self.replica.changed().await;
    }

    fn channel(&self, shard: &ShardName, _endpoint: &str) -> Result<Channel, BadEndpoint> {
        self.replica.channel(shard, &self.gates[shard])
    }

    fn now_ms(&self) -> i64 {
        self.replica.now_ms() + self.gate.taken_ms()
    }
}

/// Stands for a shard: hands every command of a driver on to it.
#[derive(Clone)]
pub(crate) struct GatedShard {
    pub(crate) name: String,
    pub(crate) channel: Channel,
    pub(crate) gate: Arc<Gate>,
}

impl GatedShard {
    pub(crate) fn routes(self) -> Routes {
        Routes::new(MoverServer::new(self.clone())).add_service(ShardServer::new(self))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service, whose commands are handed on as they are.
macro_rules! mover {
    ($($method:ident -> $reply:ident;)*) => {
        #[tonic::async_trait]
        impl mover_server::Mover for GatedShard {
            type ImportStream = Boxed<rpc::ImportProgress>;
            type ExportStream = Boxed<rpc::ExportPart>;

            $(
                async fn $method(
                    &self,
                    request: Request<MoveCommand>,
                ) -> Result<Response<rpc::$reply>, Status> {
                    let mut shard = MoverClient::new(self.channel.clone());
                    let name = format!("{} at {}", stringify!($method), self.name);
                    self.gate.effect(name, shard.$method(request.into_inner())).await
                }
            )*

            async fn digest(
                &self,
                request: Request<MoveCommand>,
            ) -> Result<Response<rpc::DigestReply>, Status> {
                self.gated_digest(request.into_inner()).await.map(Response::new)
            }

            async fn import(
                &self,
                request: Request<rpc::ImportRequest>,
            ) -> Result<Response<Self::ImportStream>, Status> {
                self.gated_import(request.into_inner()).await.map(Response::new)
            }

            async fn export(
                &self,
                _request: Request<rpc::ExportRequest>,
            ) -> Result<Response<Self::ExportStream>, Status> {
                Err(Status::unimplemented("shards call each other directly"))
            }
        }
    };
}

mover! {
    prepare -> MoveReply;
    fence -> FenceReply;
    activate -> MoveReply;
    release -> MoveReply;
    confirm_owner -> MoveReply;
    drop -> MoveReply;
    discard -> MoveReply;
}

impl GatedShard {
    async fn gated_digest(&self, command: MoveCommand) -> Result<rpc::DigestReply, Status> {
        let mut shard = MoverClient::new(self.channel.clone());
        let name = format!("digest at {}", self.name);
        let asked = self.gate.effect(name, shard.digest(command)).await;
        let reply = asked?.into_inner();
        match self.gate.is_pending(&self.name) {
            true => Ok(rpc::DigestReply {
                incarnation: reply.incarnation,
                pending: true,
                ..rpc::DigestReply::default()
            }),
            false => Ok(reply),
        }
    }

    /// Two effects: it has begun, and it has ended; unless it is one that breaks off.
    async fn gated_import(
        &self,
        request: rpc::ImportRequest,
    ) -> Result<Boxed<rpc::ImportProgress>, Status> {
        if self.gate.breaks_off() {
            let some = rpc::ImportProgress {
                messages: 1,
                ..rpc::ImportProgress::default()
            };
            let reports = [Ok(some), Err(Status::unavailable("it broke off"))];
            return Ok(Box::pin(tokio_stream::iter(reports)));
        }
        let mut shard = MoverClient::new(self.channel.clone());
        let name = |what| format!("{what} import at {}", self.name);
        let begun = shard.import(request);
        let reports = self.gate.effect(name("begin"), begun).await?.into_inner();
        let gate = Arc::clone(&self.gate);
        let end = name("end");
        let reports = reports.then(move |report| {
            let (gate, end) = (Arc::clone(&gate), end.clone());
            async move {
                match &report {
                    Ok(last) if last.complete => gate.effect(end, async { report }).await,
                    _ => report,
                }
            }
        });
        Ok(Box::pin(reports))
    }
}

#[tonic::async_trait]
impl shard_server::Shard for GatedShard {
    async fn deliver(
        &self,
        _request: Request<Streaming<rpc::DeliverPart>>,
    ) -> Result<Response<rpc::DeliverReply>, Status> {
        Err(Status::unimplemented("a driver delivers nothing"))
    }

    async fn account_usage(
        &self,
        request: Request<rpc::AccountUsageRequest>,
    ) -> Result<Response<rpc::AccountUsageReply>, Status> {
        let mut shard = ShardClient::new(self.channel.clone());
        shard.account_usage(request.into_inner()).await
    }
}
