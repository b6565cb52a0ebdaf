//! Two shards over simulated disks that serve moves over real sockets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use buzonera_storage::account::access::{Assigned, Place};
use buzonera_storage::lease::Lease;
use buzonera_storage::metrics::Metrics;
use buzonera_storage::moves::MoverService;
use buzonera_storage::opening::Progress;
use buzonera_storage::records::Change;
use buzonera_storage::records::proto::Created;
use buzonera_storage::shard::{Settings, Shard, Unready};
use buzonera_storage::volume::{self, VolumeLock};
use kit::authority::Authority;
use kit::lifecycle::Shutdown;
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::server::serve;
use kit::rpc::{Channel, ChannelOptions, ShardChannels, channel};
use kit::services::mover_client::MoverClient;
use kit::services::mover_server::MoverServer;
use kit::tls::Credentials;
use segments::sim::SimDisk;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId, Epoch, Incarnation};

use crate::net::until;
use crate::rig::UID_VALIDITY;

pub(crate) const NAMES: [&str; 2] = ["a", "b"];

/// How long requests wait for a fence to end.
const PATIENCE: Duration = Duration::from_millis(10);

pub(crate) struct Hosts {
    pub(crate) all: Vec<Host>,
    _folder: TempDir,
}

/// One shard: its disk, and what runs on it.
pub(crate) struct Host {
    name: &'static str,
    pub(crate) sim: SimDisk,
    /// Index and lock.
    data: TempDir,
    identity: Identity,
    credentials: Credentials,
    directory: Credentials,
    assigned: HashMap<AccountId, Assigned>,
    pub(crate) incarnation: u64,
    boot: Option<Boot>,
}

struct Boot {
    shard: Shard,
    endpoint: SocketAddr,
    channel: Channel,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Hosts {
    pub(crate) async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterId::random();
        let authority = Authority::create(&folder.path().join("ca"), cluster).unwrap();
        let issue = |tier, instance: &str| {
            let identity = Identity::new(cluster, tier, instance).unwrap();
            let folder = folder.path().join(format!("{tier}-{instance}"));
            authority.issue(&identity, &folder).unwrap();
            Credentials::load(&folder).unwrap()
        };
        let directory = issue(Tier::Directory, "dir-1");
        let mut all = Vec::new();
        for (n, name) in (0..).zip(NAMES) {
            let mut host = Host {
                name,
                sim: SimDisk::new(seed * 2 + n),
                data: tempfile::tempdir().unwrap(),
                identity: Identity::new(cluster, Tier::Storage, name).unwrap(),
                credentials: issue(Tier::Storage, name),
                directory: directory.clone(),
                assigned: HashMap::new(),
                incarnation: 0,
                boot: None,
            };
            host.open().await;
            all.push(host);
        }
        Self {
            all,
            _folder: folder,
        }
    }

    pub(crate) async fn create(&self, host: usize, id: AccountId) {
        let created = Change::Created(Created {
            epoch: 1,
            uid_validity: UID_VALIDITY,
            limits: None,
        });
        let shard = self.all[host].shard();
        let done: Result<(), Unready> = shard.change(id, |_| Ok(Some(created))).await;
        done.unwrap();
    }

    pub(crate) async fn close(mut self) {
        for host in &mut self.all {
            host.close().await;
        }
    }
}

impl Host {
    pub(crate) fn shard(&self) -> &Shard {
        &self.boot.as_ref().expect("it runs").shard
    }

    pub(crate) fn endpoint(&self) -> String {
        self.boot.as_ref().expect("it runs").endpoint.to_string()
    }

    /// As the directory calls it.
    pub(crate) fn mover(&self) -> MoverClient<Channel> {
        MoverClient::new(self.boot.as_ref().expect("it runs").channel.clone())
    }

    pub(crate) fn assign(&mut self, id: AccountId, epoch: u64, place: Place) {
        let epoch = Epoch(epoch);
        let assigned = Assigned { epoch, place };
        self.assigned.insert(id, assigned);
        self.shard().assign(id, assigned);
    }

    /// The power fails, and comes back; the index may be lost.
    pub(crate) async fn power_cut(&mut self, lose_index: bool) {
        self.sim.power_cut();
        self.close().await;
        if lose_index {
            until("the volume is free", || {
                VolumeLock::take(self.data.path()).is_ok()
            })
            .await;
            std::fs::remove_dir_all(self.data.path().join("index")).unwrap();
        }
        self.open().await;
    }

    async fn close(&mut self) {
        let Some(boot) = self.boot.take() else {
            return;
        };
        boot.shutdown.trigger_now();
        boot.serving.await.unwrap();
        let shard = boot.shard;
        tokio::task::spawn_blocking(move || shard.close())
            .await
            .unwrap();
    }

    /// Opens, however often the power fails meanwhile.
    async fn open(&mut self) {
        loop {
            let mut lock = None;
            until("the volume is free", || {
                lock = VolumeLock::take(self.data.path()).ok();
                lock.is_some()
            })
            .await;
            let heap = segments::Options {
                segment_bytes: 16 << 10,
                ..segments::Options::default()
            };
            let index = self.data.path().join("index");
            let disk = self.sim.disk();
            let open =
                move || volume::open(disk, heap, &index, lock.as_ref(), &Progress::default());
            let volume = match tokio::task::spawn_blocking(open).await.unwrap() {
                Ok(volume) => {
                    assert_eq!(volume.rebuilt, None, "nobody damaged the index");
                    volume
                }
                Err(_) if self.sim.is_dead() => {
                    self.sim.power_cut();
                    continue;
                }
                Err(error) => panic!("{} does not open: {error}", self.name),
            };
            if let Some(shard) = self.begin(volume).await {
                self.boot = Some(self.serve(shard));
                return;
            }
            self.sim.power_cut();
        }
    }

    /// A shard that has recorded its incarnation; `None`: the power failed.
    async fn begin(&mut self, volume: volume::Volume) -> Option<Shard> {
        let lease = Lease::new(Arc::new(kit::clock::boottime), PATIENCE);
        lease.granted(lease.now(), Duration::from_secs(3600));
        let settings = Settings {
            patience: PATIENCE,
            checkpoint_bytes: 8 << 10,
            ..Settings::default()
        };
        let name = self.name.parse().unwrap();
        let shard = Shard::start(name, volume, lease, settings, Metrics::default()).unwrap();
        self.incarnation += 1;
        let cluster = self.identity.cluster().to_field();
        let opened = shard
            .open_incarnation(cluster, Incarnation(self.incarnation))
            .await;
        if opened.is_err() {
            assert!(self.sim.is_dead(), "{opened:?}");
            shard.close();
            return None;
        }
        shard.assign_all(self.assigned.clone());
        Some(shard)
    }

    fn serve(&self, shard: Shard) -> Boot {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(ListenerConfig::new("rpc", "", address)).unwrap();
        let endpoint = listener.local_addr();
        let shutdown = Shutdown::new(Duration::ZERO, Duration::ZERO);
        let channels = ShardChannels::new(self.credentials.clone(), ChannelOptions::default());
        let mover = MoverServer::new(MoverService::new(shard.clone(), channels));
        let (credentials, stop) = (self.credentials.clone(), shutdown.clone());
        let serving = tokio::spawn(async move {
            let routes = tonic::service::Routes::new(mover);
            let served = serve(listener, &credentials, routes, stop.clone());
            served.await.unwrap();
            // Moves under way are cut, and have let go of the shard.
            let _ = stop.drained().await;
        });
        let options = ChannelOptions::default();
        let at = endpoint.to_string();
        Boot {
            shard,
            endpoint,
            channel: channel(&at, &self.identity, &self.directory, options).unwrap(),
            shutdown,
            serving,
        }
    }
}
