//! A directory that drives nothing by itself, and two real shards.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::map::Shared;
use buzonera_directory::store::SharedStore;
use buzonera_directory::store::embedded::{Embedded, Options};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::{self, Channel, ChannelOptions, channel};
use kit::services::shard_client::ShardClient;
use kit::tls::Credentials;
use parking_lot::Mutex;
use storage::Storage;
use tokio::task::JoinHandle;
use tonic::Status;
use wire::identity::Tier;
use wire::ids::ClusterId;
use wire::rpc::{
    AddAccountRequest, AddShardRequest, ListRequest, ReplaceVolumeRequest, SetShardStateRequest,
    ShardInfo, ShardState,
};

use super::driver::take_over;
use super::subject::Subject;
use crate::world::{World, claim, config, id, identity_folder, issue, until};

pub(super) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The two shards.
pub(crate) const SHARDS: [&str; 2] = ["shard-1", "shard-2"];

/// Messages in each account before it moves.
pub(crate) const MESSAGES: u8 = 3;

/// Epoch of an account that was just made.
pub(crate) const FIRST: u64 = 1;

pub(crate) struct Stage {
    pub(super) world: World,
    pub(super) store: SharedStore,
    pub(super) map: Arc<Shared>,
    shards: Mutex<HashMap<&'static str, Running>>,
}

struct Running {
    rpc: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), storage::Error>>,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
        let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
        let store: SharedStore = Arc::new(store.unwrap());
        // So the directory's own driver is never elected.
        claim(&store, authority.cluster()).await;
        take_over(&store).await;
        let settings = config(&authority, folder.path());
        let world = World::over(folder, authority, settings, Arc::clone(&store)).await;
        let map = Arc::clone(&world.map);
        let stage = Self {
            world,
            store,
            map,
            shards: Mutex::default(),
        };
        for name in SHARDS {
            stage.add_shard(name).await;
            stage.start_shard(name).await;
        }
        stage.world.domain("example.org").await;
        for name in SHARDS {
            stage.is_live(name).await;
        }
        stage
    }

    /// Waits until a shard has its lease.
    pub(crate) async fn is_live(&self, name: &str) {
        until("a shard has its lease", || async {
            self.shown(name).await.live.then_some(())
        })
        .await;
    }

    /// A shard as administrators see it.
    pub(crate) async fn shown(&self, name: &str) -> ShardInfo {
        let mut admin = self.world.admin();
        let listed = admin.list_shards(ListRequest::default()).await.unwrap();
        let mut shards = listed.into_inner().shards.into_iter();
        shards.find(|shard| shard.name == name).unwrap()
    }

    pub(crate) async fn set_state(
        &self,
        name: &str,
        state: ShardState,
    ) -> Result<ShardInfo, Status> {
        let request = SetShardStateRequest {
            request_id: id(),
            name: name.to_owned(),
            state: state.into(),
        };
        let set = self.world.admin().set_shard_state(request).await?;
        Ok(set.into_inner())
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
    pub(crate) async fn start_shard(&self, name: &'static str) {
        let folder = self.world.folder.path();
        let replica = rpc::Replica {
            instance: "directory-0".to_owned(),
            endpoint: self.world.endpoint.clone(),
        };
        let identity = identity_folder(&self.world.authority, folder, Tier::Storage, name);
        let data = folder.join(format!("data-{name}"));
        let config = storage::Config::new(identity, data, vec![replica], LOOPBACK, LOOPBACK);
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let admin = Admin::default();
        let storage = bind::<Storage>(config, &admin, &shutdown).await.unwrap();
        let running = Running {
            rpc: storage.rpc_addr(),
            shutdown: shutdown.clone(),
            serving: tokio::spawn(storage.serve()),
        };
        self.shards.lock().insert(name, running);
    }

    /// Takes the volume of a shard that has ended away, and says that another is to come.
    pub(crate) async fn replace_volume(&self, name: &str) {
        let data = self.world.folder.path().join(format!("data-{name}"));
        std::fs::remove_dir_all(data).unwrap();
        until("its volume is replaced", || async {
            let request = ReplaceVolumeRequest {
                request_id: id(),
                name: name.to_owned(),
            };
            self.world.admin().replace_volume(request).await.ok()
        })
        .await;
    }

    /// Ends a shard for good and declares it lost.
    pub(crate) async fn lose_shard(&self, name: &'static str) {
        self.stop_shard(name).await;
        until("its lease has ended", || async {
            self.set_state(name, ShardState::Lost).await.ok()
        })
        .await;
    }

    /// A shard that starts is told that it gets no lease.
    pub(crate) async fn is_refused(&self, name: &'static str) {
        self.start_shard(name).await;
        let running = self.shards.lock().remove(name).unwrap();
        assert!(running.serving.await.unwrap().is_err());
    }

    /// Ends a shard; its volume stays.
    pub(crate) async fn stop_shard(&self, name: &str) {
        let running = self.shards.lock().remove(name).unwrap();
        running.shutdown.trigger_now();
        running.serving.await.unwrap().unwrap();
    }

    pub(super) fn directory(&self) -> Credentials {
        self.issue(Tier::Directory, "directory-0")
    }

    pub(super) fn issue(&self, tier: Tier, instance: &str) -> Credentials {
        issue(
            &self.world.authority,
            self.world.folder.path(),
            tier,
            instance,
        )
    }

    /// A channel to a shard; to nowhere while it is stopped.
    pub(super) fn channel(&self, name: &str, caller: &Credentials) -> Channel {
        let expect = caller.peer(Tier::Storage, name).unwrap();
        let shards = self.shards.lock();
        let nowhere = SocketAddr::new(LOOPBACK.ip(), 1);
        let endpoint = shards
            .get(name)
            .map_or(nowhere, |shard| shard.rpc)
            .to_string();
        channel(&endpoint, &expect, caller, ChannelOptions::default()).unwrap()
    }

    pub(super) fn shard(&self, name: &str, caller: Tier) -> ShardClient<Channel> {
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

    /// The shards that run, and the first two.
    pub(super) fn running(&self) -> Vec<&'static str> {
        let running: BTreeSet<_> = self.shards.lock().keys().copied().collect();
        running.into_iter().chain(SHARDS).collect()
    }

    /// Ends shards and directory.
    pub(crate) async fn stop(self) {
        let running: Vec<_> = self.shards.lock().keys().copied().collect();
        for name in running {
            self.stop_shard(name).await;
        }
        self.world.stop().await;
    }
}
