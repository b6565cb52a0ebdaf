//! A cluster with a directory, two shards and a proxy, in one process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use buzonera_proxy::throttle::Rules;
use buzonera_proxy::{Config, Limits, Proxy};
use kit::admin::{Admin, Metrics};
use kit::authority::Authority;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::Replica;
use kit::tls::Credentials;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId};
use wire::rpc;

use crate::client::Client;
use crate::directory::Directory;
use crate::shard::Shard;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A free port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The host name in the public certificate.
pub(crate) const HOST: &str = "mail.example.org";

pub(crate) const LOGIN: &str = "tim@example.org";
pub(crate) const PASSWORD: &str = "tan sta  af";

pub(crate) struct World {
    pub(crate) directory: Directory,
    pub(crate) shards: [Shard; 2],
    pub(crate) pop3: SocketAddr,
    pub(crate) pop3s: SocketAddr,
    /// As these two, for balancers.
    pub(crate) proxied: Vec<SocketAddr>,
    pub(crate) account: AccountId,
    pub(crate) shutdown: Shutdown,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) ca_pem: String,
    pub(crate) metrics: Metrics,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        Self::start(limits, Rules::default(), shutdown).await
    }

    /// Tim's account is at the first shard, epoch 7.
    pub(crate) async fn start(limits: Limits, throttle: Rules, shutdown: Shutdown) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(&dir.path().join("ca"), ClusterId::random()).unwrap();
        let identity = |tier: Tier, instance: &str| issue(&authority, &dir, tier, instance);
        let load = |tier, instance| Credentials::load(&identity(tier, instance)).unwrap();
        let directory = Directory::start(&load(Tier::Directory, "directory-0"));
        let shards = [
            Shard::start(&load(Tier::Storage, "shard-1")).await,
            Shard::start(&load(Tier::Storage, "shard-2")).await,
        ];
        let public = dir.path().join("public");
        authority.issue_public(&[HOST], &public).unwrap();
        let config = Config {
            identity: identity(Tier::Proxy, "proxy-0"),
            tls: public,
            directory: vec![Replica {
                instance: "directory-0".to_owned(),
                endpoint: directory.address.to_string(),
            }],
            pop3_listen: ANY.into(),
            pop3s_listen: ANY.into(),
            pop3_proxied_listen: Some(ANY.into()),
            pop3s_proxied_listen: Some(ANY.into()),
            proxy_trusted: vec!["127.0.0.1".parse().unwrap()],
            limits,
            throttle,
            ..Config::default()
        };
        let admin = Admin::default();
        let proxy = bind::<Proxy>(config, &admin, &shutdown).await.unwrap();
        let (pop3, pop3s) = (proxy.pop3_addr(), proxy.pop3s_addr());
        let proxied = proxy.proxied_addrs();
        let world = Self {
            serving: tokio::spawn(async move { proxy.serve().await.unwrap() }),
            account: AccountId::random(),
            ca_pem: authority.ca_pem().to_owned(),
            directory,
            shards,
            pop3,
            pop3s,
            proxied,
            metrics: admin.metrics,
            shutdown,
            _dir: dir,
        };
        world.directory.knows(LOGIN, PASSWORD, world.route(0, 7));
        world
    }

    /// A route of Tim's account.
    pub(crate) fn route(&self, shard: usize, epoch: u64) -> rpc::Route {
        rpc::Route {
            account: self.account.to_field(),
            shard: self.shards[shard].name.clone(),
            epoch,
            rpc_endpoint: String::new(),
            pop3_endpoint: self.shards[shard].address.to_string(),
        }
    }

    /// A client that has its greeting, under TLS.
    pub(crate) async fn pop3s(&self) -> Client {
        let mut client = Client::connect(self.pop3s)
            .await
            .encrypt(&self.ca_pem)
            .await;
        assert_eq!(client.line().await, "+OK Buzonera");
        client
    }

    /// A client that has its greeting, in the clear.
    pub(crate) async fn pop3(&self) -> Client {
        let mut client = Client::connect(self.pop3).await;
        assert_eq!(client.line().await, "+OK Buzonera");
        client
    }

    /// A client whose session at the shard stands.
    pub(crate) async fn logged_in(&self) -> Client {
        let mut client = self.pop3s().await;
        assert_eq!(client.login().await, "+OK 0 messages");
        client
    }
}

fn issue(authority: &Authority, dir: &TempDir, tier: Tier, instance: &str) -> PathBuf {
    let folder = dir.path().join(instance);
    let identity = Identity::new(authority.cluster(), tier, instance).unwrap();
    authority.issue(&identity, &folder).unwrap();
    folder
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}
