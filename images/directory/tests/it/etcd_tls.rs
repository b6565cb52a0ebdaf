//! An etcd that is reached by mutual TLS, as on Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use buzonera_directory::StoreAt;
use buzonera_directory::store::etcd::{Etcd, Options};
use buzonera_directory::store::{Error, Store, Txn};
use kit::authority::{Authority, Pair, StoreAuthority, StoreRole};
use kit::tls::IdentityFiles;
use tempfile::TempDir;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;

use crate::etcd::Server;
use crate::store_suite::{self, committed, share, value};
use crate::world::World;

const PREFIX: &str = "/buzonera/tls/";

/// Authorities and what they issued, in a folder of its own.
struct Issued {
    folder: TempDir,
}

impl Issued {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder }
    }

    /// The identity of a directory replica, as the store sees it.
    fn client(&self, authority: &StoreAuthority, name: &str) -> PathBuf {
        self.pair(authority, StoreRole::Client, name)
    }

    /// An etcd of this authority's.
    fn server(&self, authority: &StoreAuthority) -> Server {
        let folder = self.pair(authority, StoreRole::Member(&["127.0.0.1"]), "etcd");
        Server::start_tls(&folder)
    }

    fn pair(&self, authority: &StoreAuthority, role: StoreRole<'_>, name: &str) -> PathBuf {
        let pair = authority.issue_store(role, DAY, SystemTime::now()).unwrap();
        self.write(authority.ca_pem(), &pair, name)
    }

    fn write(&self, ca: &str, pair: &Pair, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        for (file, text) in [
            ("ca.pem", ca),
            ("cert.pem", &pair.cert),
            ("key.pem", &pair.key),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        folder
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn a_store() -> StoreAuthority {
    StoreAuthority::generate(ClusterId::random(), SystemTime::now()).unwrap()
}

fn files(ca: &Path, pair: &Path) -> Option<IdentityFiles> {
    Some(IdentityFiles {
        ca: ca.join("ca.pem"),
        cert: pair.join("cert.pem"),
        key: pair.join("key.pem"),
    })
}

fn options(server: &Server, tls: Option<IdentityFiles>) -> Options {
    let mut options = server.options(PREFIX);
    options.tls = tls;
    options
}

/// One call, of one that expects to be refused.
async fn refusal(server: &Server, tls: Option<IdentityFiles>) -> Error {
    let mut options = options(server, tls);
    options.read_timeout = Duration::from_secs(1);
    options.attempt_timeout = options.read_timeout;
    let error = Etcd::new(options).unwrap().head().await.unwrap_err();
    // It is refused, and not only slow.
    assert!(!error.to_string().contains("no answer"), "{error}");
    error
}

#[tokio::test]
async fn reads_writes_and_watches() {
    let issued = Issued::new();
    let authority = a_store();
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    let store = server.store_with(options(&server, files(&client, &client)));
    let store = share(store.await);
    let start = store.head().await.unwrap();
    let mut watch = store.watch(start);
    committed(&store, Txn::new().put("a", "1")).await;
    assert_eq!(value(&store, "a").await.unwrap(), "1");
    let seen = store_suite::next(&mut watch).await;
    assert_eq!(seen.changes[0].value.as_ref().unwrap(), "1");
}

#[tokio::test]
async fn without_a_certificate_of_the_cluster_nothing_is_answered() {
    let issued = Issued::new();
    let authority = a_store();
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    // It is up, and answers who is one of ours.
    let tls = files(&client, &client);
    let store = server.store_with(options(&server, tls.clone())).await;
    store.head().await.unwrap();

    let foreign = a_store();
    let stranger = issued.client(&foreign, "stranger");
    let unknown_to_etcd = refusal(&server, files(&client, &stranger)).await;
    assert!(unknown_to_etcd.is_temporary(), "{unknown_to_etcd:?}");
    let etcd_is_unknown = refusal(&server, files(&stranger, &client)).await;
    assert!(etcd_is_unknown.is_temporary(), "{etcd_is_unknown:?}");
}

#[tokio::test]
async fn an_identity_of_the_cluster_is_nobody_to_its_store() {
    let issued = Issued::new();
    let (cluster, now) = (ClusterId::random(), SystemTime::now());
    let ours = Authority::generate(cluster, now).unwrap();
    let stores = StoreAuthority::generate(cluster, now).unwrap();
    let server = issued.server(&stores);
    let client = issued.client(&stores, "client");
    let store = server.store_with(options(&server, files(&client, &client)));
    store.await.head().await.unwrap();

    for tier in Tier::ALL.iter().copied() {
        let identity = Identity::new(cluster, tier, "one-0").unwrap();
        let pair = ours.issue_pem(&identity, DAY, now).unwrap();
        let folder = issued.write(ours.ca_pem(), &pair, tier.as_str());
        let refused = refusal(&server, files(&client, &folder)).await;
        assert!(refused.is_temporary(), "{tier}: {refused:?}");
    }
}

/// A member's certificate lets it reach its peers, and nobody's keys.
#[tokio::test]
async fn a_member_is_no_client_of_the_directorys_keys() {
    let issued = Issued::new();
    let stores = a_store();
    let server = issued.server(&stores);
    let client = issued.client(&stores, "client");
    let store = server.store_with(options(&server, files(&client, &client)));
    store.await.head().await.unwrap();
    let peer = issued.pair(&stores, StoreRole::Member(&["127.0.0.1"]), "peer");
    let refused = refusal(&server, files(&client, &peer)).await;
    assert!(refused.is_temporary(), "{refused:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_the_next_connection() {
    let issued = Issued::new();
    let authority = a_store();
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    let ready = server.store_with(options(&server, files(&client, &client)));
    ready.await.head().await.unwrap();

    let foreign = a_store();
    let stranger = issued.client(&foreign, "stranger");
    let store = Etcd::new(options(&server, files(&client, &stranger))).unwrap();
    let waiting = tokio::spawn(async move { store.head().await });
    for name in ["cert.pem", "key.pem"] {
        fs::copy(client.join(name), stranger.join(name)).unwrap();
    }
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_directory_over_it() {
    let issued = Issued::new();
    let authority = a_store();
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    let ready = server.store_with(options(&server, files(&client, &client)));
    ready.await;
    let world = World::start_with(|config| {
        config.store = StoreAt::Etcd(vec![server.endpoint()]);
        config.store_identity = Some(client.clone());
    });
    let world = world.await;
    world.domain("example.org").await;
    let request = wire::rpc::StatusRequest {};
    let status = world.admin().status(request).await.unwrap().into_inner();
    assert_eq!((status.store.as_str(), status.domains), ("etcd", 1));
    world.stop().await;
}
