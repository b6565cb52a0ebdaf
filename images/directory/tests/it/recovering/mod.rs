//! A real shard whose volume recovers, and what its directory says of it.

mod died;
mod gate;
mod told;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use kit::admin::Admin;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::Replica;
use storage::Storage;
use tokio::task::JoinHandle;
use wire::identity::Tier;
use wire::rpc::opening::How;
use wire::rpc::{AddShardRequest, ListRequest, Recovers, ShardInfo};

use self::gate::Gate;
use crate::world::{World, id, identity_folder, until};

const NAME: &str = "shard-1";

/// Each is a record of the heap, in a group of its own.
const ACCOUNTS: u64 = 24;

/// A few records each.
const SEGMENT: u64 = 1000;

/// Segments that are read before the gate.
const BEFORE: usize = 2;

/// A directory, and the volume of a shard that has lost its index.
struct Stage {
    world: World,
    gate: Gate,
}

/// A run of the shard.
struct Run {
    admin: Admin,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), storage::Error>>,
}

impl Stage {
    async fn new() -> Self {
        let world = World::start_with(|config| {
            config.registry.opening_interval = Duration::ZERO;
        })
        .await;
        let gate = Gate::before(&world.folder.path().join("data"));
        let stage = Self { world, gate };
        let request = AddShardRequest {
            request_id: id(),
            name: NAME.to_owned(),
        };
        stage.world.admin().add_shard(request).await.unwrap();
        let run = stage.start().await;
        stage.is_live().await;
        stage.world.domain("example.org").await;
        for number in 1..=ACCOUNTS {
            stage
                .world
                .account(&format!("a{number}@example.org"), "")
                .await;
            until("the account is made", || async {
                let states = stage.shown().await.accounts_by_state?;
                (states.active == number).then_some(())
            })
            .await;
        }
        run.shutdown.trigger_now();
        run.serving.await.unwrap().unwrap();
        let index = stage.world.folder.path().join("data").join("index");
        std::fs::remove_dir_all(index).unwrap();
        stage.gate.close(BEFORE);
        stage
    }

    async fn start(&self) -> Run {
        let folder = self.world.folder.path();
        let replica = Replica {
            instance: "directory-0".to_owned(),
            endpoint: self.world.endpoint.clone(),
        };
        let identity = identity_folder(&self.world.authority, folder, Tier::Storage, NAME);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let data = folder.join("data");
        let mut config = storage::Config::new(identity, data, vec![replica], any, any);
        config.heap.segment_bytes = SEGMENT;
        config.open_heap = gate::open;
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let admin = Admin::default();
        let storage = bind::<Storage>(config, &admin, &shutdown).await.unwrap();
        Run {
            admin,
            shutdown,
            serving: tokio::spawn(storage.serve()),
        }
    }

    async fn is_live(&self) {
        until("the shard has its lease", || async {
            self.shown().await.live.then_some(())
        })
        .await;
    }

    /// As administrators see it.
    async fn shown(&self) -> ShardInfo {
        let mut admin = self.world.admin();
        let listed = admin.list_shards(ListRequest::default()).await;
        listed.unwrap().into_inner().shards.remove(0)
    }

    /// As the operator sees it.
    async fn listed(&self) -> ShardInfo {
        let mut operator = self.world.operator();
        let listed = operator.list_shards(ListRequest::default()).await;
        listed.unwrap().into_inner().shards.remove(0)
    }
}

/// How far its recovery is, if it recovers.
fn recovers(shard: &ShardInfo) -> Option<Recovers> {
    match shard.opening.as_ref()?.how.as_ref()? {
        How::Recovers(recovers) => Some(*recovers),
        How::Opens(_) => None,
    }
}
