//! A directory that drives nothing by itself, two real shards, and drivers that tests start.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::authority::Authority;
use kit::lifecycle::Shutdown;
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::{self, Channel, ChannelOptions, ShardChannels, channel};
use kit::services::mover_client::MoverClient;
use kit::services::shard_client::ShardClient;
use kit::tls::Credentials;
use palomar_directory::Directory;
use palomar_directory::election::Term;
use palomar_directory::map::Shared;
use palomar_directory::model::Key;
use palomar_directory::model::records::{AccountRecord, MoverRecord};
use palomar_directory::moves::{MovesConfig, Replica, drive};
use palomar_directory::store::embedded::{Embedded, Options};
use palomar_directory::store::{Expect, Outcome, SharedStore, Txn};
use prost::Message as _;
use storage::Storage;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use wire::identity::Tier;
use wire::ids::{AccountId, ClusterId};
use wire::rpc::deliver_outcome::Outcome as Delivered;
use wire::rpc::{
    AbortMoveRequest, Account, AccountUsageRequest, AddAccountRequest, AddShardRequest,
    AddressName, ListRequest, Move, MoveCommand, MovePhase, RemoveAccountRequest,
    RestoreAccountRequest, Route, ShowMoveRequest, StartMoveRequest,
};

use super::gate::{Gate, GatedShard, GatedStore, GatedWorld};
use super::mail::{Maildrop, delivery};
use crate::world::{World, config, id, identity_folder, issue, until};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The two shards.
pub(crate) const SHARDS: [&str; 2] = ["shard-1", "shard-2"];

/// Messages in each account before it moves.
pub(crate) const MESSAGES: u8 = 3;

/// Epoch of an account that was just made.
pub(crate) const FIRST: u64 = 1;

pub(crate) struct Stage {
    world: World,
    store: SharedStore,
    map: Arc<Shared>,
    shards: Mutex<HashMap<&'static str, Running>>,
}

struct Running {
    rpc: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), storage::Error>>,
}

/// A driver at work; dropped, it is gone without a word, as a killed process is.
pub(crate) struct Driver {
    task: JoinHandle<()>,
    gates: Shutdown,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
        self.gates.trigger_now();
    }
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
        let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
        let store: SharedStore = Arc::new(store.unwrap());
        // So the directory's own driver is never elected.
        take_over(&store).await;
        let settings = config(&authority, folder.path());
        let directory = Directory::open_over(settings, Arc::clone(&store)).unwrap();
        let map = directory.map();
        let world = World::serve(folder, authority, directory);
        let stage = Self {
            world,
            store,
            map,
            shards: Mutex::default(),
        };
        for name in SHARDS {
            stage.add_shard(name).await;
            stage.start_shard(name);
        }
        stage.world.domain("example.org").await;
        until("both shards have their leases", || async {
            let mut admin = stage.world.admin();
            let listed = admin.list_shards(ListRequest::default()).await.unwrap();
            let shards = listed.into_inner().shards;
            shards.iter().all(|shard| shard.live).then_some(())
        })
        .await;
        stage
    }

    /// Adds a shard that nobody has started.
    pub(crate) async fn add_shard(&self, name: &str) {
        let request = AddShardRequest {
            request_id: id(),
            name: name.to_owned(),
        };
        self.world.admin().add_shard(request).await.unwrap();
    }

    /// Starts a shard on its volume.
    pub(crate) fn start_shard(&self, name: &'static str) {
        let folder = self.world.folder.path();
        let replica = rpc::Replica {
            instance: "directory-0".to_owned(),
            endpoint: self.world.endpoint.clone(),
        };
        let identity = identity_folder(&self.world.authority, folder, Tier::Storage, name);
        let data = folder.join(format!("data-{name}"));
        let config = storage::Config::new(identity, data, vec![replica], LOOPBACK, LOOPBACK);
        let storage = Storage::bind(config).unwrap();
        let shutdown = Shutdown::new(Duration::ZERO);
        let running = Running {
            rpc: storage.rpc_addr(),
            shutdown: shutdown.clone(),
            serving: tokio::spawn(storage.serve(shutdown)),
        };
        self.shards.lock().unwrap().insert(name, running);
    }

    /// Ends a shard; its volume stays.
    pub(crate) async fn stop_shard(&self, name: &str) {
        let running = self.shards.lock().unwrap().remove(name).unwrap();
        running.shutdown.trigger_now();
        running.serving.await.unwrap().unwrap();
    }

    /// Starts a driver that nothing holds; an earlier one is deposed.
    pub(crate) async fn drive(&self) -> Driver {
        self.drive_through(&Gate::new(super::gate::Hold::Nowhere))
            .await
    }

    /// Starts a driver whose every effect goes through `gate`; an earlier one is deposed.
    pub(crate) async fn drive_through(&self, gate: &Arc<Gate>) -> Driver {
        self.drive_few(gate, MovesConfig::IN_HAND).await
    }

    /// As [`Self::drive_through`], and at most so many moves take their turns at once.
    pub(crate) async fn drive_few(&self, gate: &Arc<Gate>, in_hand: usize) -> Driver {
        let term = take_over(&self.store).await;
        let shutdown = Shutdown::new(Duration::ZERO);
        let mut gates = HashMap::new();
        for name in SHARDS {
            let endpoint = self.gate(name, gate, &shutdown);
            gates.insert(name.parse().unwrap(), endpoint);
        }
        let channels = ShardChannels::new(self.directory(), ChannelOptions::default());
        let world = GatedWorld {
            replica: Replica::new(Arc::clone(&self.map), channels),
            gates,
            gate: Arc::clone(gate),
        };
        let store = Arc::new(GatedStore {
            inner: Arc::clone(&self.store),
            gate: Arc::clone(gate),
        });
        let settings = MovesConfig {
            grace: Duration::ZERO,
            in_hand,
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            ..MovesConfig::default()
        };
        Driver {
            task: tokio::spawn(drive(store, world, settings, term)),
            gates: shutdown,
        }
    }

    /// Serves a gate before a shard; where it listens.
    fn gate(&self, name: &str, gate: &Arc<Gate>, shutdown: &Shutdown) -> String {
        let listener = Listener::bind(ListenerConfig::new("gate", "", LOOPBACK)).unwrap();
        let endpoint = listener.local_addr().to_string();
        let gated = GatedShard {
            name: name.to_owned(),
            channel: self.channel(name, &self.directory()),
            gate: Arc::clone(gate),
        };
        let credentials = self.issue(Tier::Storage, name);
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let served = rpc::server::serve(listener, &credentials, gated.routes(), shutdown);
            served.await.unwrap();
        });
        endpoint
    }

    fn directory(&self) -> Credentials {
        self.issue(Tier::Directory, "directory-0")
    }

    fn issue(&self, tier: Tier, instance: &str) -> Credentials {
        issue(
            &self.world.authority,
            self.world.folder.path(),
            tier,
            instance,
        )
    }

    /// A channel to a shard; to nowhere while it is stopped.
    fn channel(&self, name: &str, caller: &Credentials) -> Channel {
        let expect = caller.peer(Tier::Storage, name).unwrap();
        let shards = self.shards.lock().unwrap();
        let nowhere = SocketAddr::new(LOOPBACK.ip(), 1);
        let endpoint = shards
            .get(name)
            .map_or(nowhere, |shard| shard.rpc)
            .to_string();
        channel(&endpoint, &expect, caller, ChannelOptions::default()).unwrap()
    }

    fn shard(&self, name: &str, caller: Tier) -> ShardClient<Channel> {
        let caller = self.issue(caller, &format!("{caller}-0"));
        ShardClient::new(self.channel(name, &caller))
    }

    /// An account on the first shard, with its mail.
    pub(crate) async fn account(&self, local: &str) -> Subject<'_> {
        let request = AddAccountRequest {
            request_id: id(),
            address: format!("{local}@example.org"),
            shard: SHARDS[0].to_owned(),
            ..AddAccountRequest::default()
        };
        let made = self.world.admin().add_account(request).await.unwrap();
        let made = made.into_inner();
        let subject = Subject {
            stage: self,
            address: made.address,
            id: made.route.unwrap().account,
        };
        for message in 1..=MESSAGES {
            subject.deliver(message).await;
        }
        subject
    }

    /// Ends shards and directory.
    pub(crate) async fn stop(self) {
        for name in SHARDS {
            self.stop_shard(name).await;
        }
        self.world.stop().await;
    }
}

/// Elects whoever calls.
async fn take_over(store: &SharedStore) -> Term {
    let record = MoverRecord {
        instance: "a test".to_owned(),
        elected_at_ms: 1,
    };
    let txn = Txn::new().put(Key::Mover.to_string(), record.encode_to_vec());
    match store.commit(txn).await.unwrap() {
        Outcome::Committed(revision) => Term { revision },
        Outcome::Conflict => panic!("a condition of none"),
    }
}

/// One account that is moved.
pub(crate) struct Subject<'a> {
    stage: &'a Stage,
    pub(crate) address: String,
    id: bytes::Bytes,
}

impl Subject<'_> {
    /// As the directory has it; none: it is gone.
    pub(crate) async fn shown(&self) -> Option<Account> {
        let name = AddressName {
            address: self.address.clone(),
        };
        match self.stage.world.admin().show_account(name).await {
            Ok(shown) => Some(shown.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}"),
        }
    }

    pub(crate) async fn route(&self) -> Route {
        self.shown().await.unwrap().route.unwrap()
    }

    /// Has the directory say that it is at another shard.
    pub(crate) async fn say_it_is_at(&self, shard: &str) {
        let account = AccountId::from_slice(&self.id).unwrap();
        let key = Key::Account(account).to_string();
        let found = self.stage.store.get(vec![key.clone()]).await.unwrap();
        let entry = found[0].clone().unwrap();
        let record = AccountRecord {
            shard: shard.to_owned(),
            ..AccountRecord::decode(entry.value).unwrap()
        };
        let txn = Txn::new()
            .expect(key.clone(), Expect::At(entry.revision))
            .put(key, record.encode_to_vec());
        let written = self.stage.store.commit(txn).await.unwrap();
        assert!(matches!(written, Outcome::Committed(_)), "{written:?}");
    }

    /// Stores a message, trying again as MX does.
    pub(crate) async fn deliver(&self, message: u8) {
        until("a message is stored", || async {
            let route = self.route().await;
            let parts = tokio_stream::iter(delivery(&route, message));
            let mut shard = self.stage.shard(&route.shard, Tier::Mx);
            let reply = shard.deliver(parts).await.ok()?.into_inner();
            matches!(reply.outcomes[0].outcome, Some(Delivered::Stored(_))).then_some(())
        })
        .await;
    }

    /// Its mail at the shard and epoch that the directory names.
    pub(crate) async fn mail(&self) -> Vec<(String, String)> {
        let proxy = self.stage.issue(Tier::Proxy, "proxy-0");
        let opened = until("a maildrop opens", || async {
            Maildrop::open(&proxy, &self.route().await).await.ok()
        });
        opened.await.messages().await
    }

    /// Whether a shard has anything of it.
    pub(crate) async fn is_at(&self, shard: &str) -> bool {
        let usage = until("a shard tells what it has", || async {
            let request = AccountUsageRequest {
                accounts: vec![self.id.clone()],
            };
            let mut client = self.stage.shard(shard, Tier::Directory);
            client.account_usage(request).await.ok()
        });
        usage.await.into_inner().usages[0].found
    }

    pub(crate) async fn start(&self, target: &str) -> Move {
        let request = StartMoveRequest {
            request_id: id(),
            address: self.address.clone(),
            target: target.to_owned(),
        };
        let started = self.stage.world.admin().start_move(request).await.unwrap();
        started.into_inner()
    }

    pub(crate) async fn abort(&self) -> Result<Move, Status> {
        let request = AbortMoveRequest {
            request_id: id(),
            address: self.address.clone(),
        };
        let aborted = self.stage.world.admin().abort_move(request).await?;
        Ok(aborted.into_inner())
    }

    pub(crate) async fn remove(&self, purge: bool) {
        let request = RemoveAccountRequest {
            request_id: id(),
            address: self.address.clone(),
            purge,
        };
        self.stage
            .world
            .admin()
            .remove_account(request)
            .await
            .unwrap();
    }

    pub(crate) async fn restore(&self) {
        let request = RestoreAccountRequest {
            request_id: id(),
            address: self.address.clone(),
            ..RestoreAccountRequest::default()
        };
        self.stage
            .world
            .admin()
            .restore_account(request)
            .await
            .unwrap();
    }

    /// Sends a source `Release` as the directory does, at an epoch of the test's choice.
    pub(crate) async fn release(&self, started: &Move, epoch: u64) {
        until("the source is released", || async {
            let command = MoveCommand {
                move_id: started.move_id.clone(),
                account: self.id.clone(),
                epoch,
                source: started.source.clone(),
                target: started.target.clone(),
            };
            let channel = self.stage.channel(&started.source, &self.stage.directory());
            MoverClient::new(channel).release(command).await.ok()
        })
        .await;
    }

    /// How far a move is. None: it is gone with its account.
    pub(crate) async fn moving(&self, started: &Move) -> Option<Move> {
        let request = ShowMoveRequest {
            move_id: started.move_id.clone(),
            ..ShowMoveRequest::default()
        };
        match self.stage.world.admin().show_move(request).await {
            Ok(now) => Some(now.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}"),
        }
    }

    /// Waits until a move is over: its last state. None: it is gone with its account.
    pub(crate) async fn over(&self, started: &Move) -> Option<Move> {
        until("the move is over", || async {
            let Some(now) = self.moving(started).await else {
                return Some(None);
            };
            let over =
                now.phase() == MovePhase::Done || now.phase() == MovePhase::Aborted && now.settled;
            over.then_some(Some(now))
        })
        .await
    }

    /// All mail is there once, at this shard and epoch alone, and more comes in after it.
    pub(crate) async fn is_whole(&self, before: &[(String, String)], shard: &str, epoch: u64) {
        let route = self.route().await;
        assert_eq!((route.shard.as_str(), route.epoch), (shard, epoch));
        for other in SHARDS.into_iter().filter(|other| *other != shard) {
            assert!(!self.is_at(other).await, "{other} has a copy");
        }
        assert_eq!(self.mail().await, before);
        self.deliver(MESSAGES + 1).await;
        let after = self.mail().await;
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(&after[..before.len()], before);
    }
}
