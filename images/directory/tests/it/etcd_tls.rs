//! An etcd that is reached by mutual TLS, as on Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};

use buzonera_directory::StoreAt;
use buzonera_directory::store::etcd::{Etcd, Options, TlsFiles};
use buzonera_directory::store::{Error, Store, Txn};
use kit::authority::Authority;
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

    fn authority(&self, name: &str) -> Authority {
        let folder = self.folder.path().join(name);
        Authority::create(&folder, ClusterId::random()).unwrap()
    }

    /// The identity of a directory replica.
    fn client(&self, authority: &Authority, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        let cluster = authority.cluster();
        let identity = Identity::new(cluster, Tier::Directory, "directory-0").unwrap();
        authority.issue(&identity, &folder).unwrap();
        folder
    }

    /// An etcd of this authority's cluster.
    fn server(&self, authority: &Authority) -> Server {
        let folder = self.folder.path().join("etcd");
        authority.issue_public(&["127.0.0.1"], &folder).unwrap();
        Server::start_tls(&folder)
    }
}

fn files(ca: &Path, pair: &Path) -> Option<TlsFiles> {
    Some(TlsFiles {
        ca: ca.join("ca.pem"),
        cert: pair.join("cert.pem"),
        key: pair.join("key.pem"),
    })
}

fn options(server: &Server, tls: Option<TlsFiles>) -> Options {
    let mut options = server.options(PREFIX);
    options.tls = tls;
    options
}

/// One call, of one that expects to be refused.
async fn refusal(server: &Server, tls: Option<TlsFiles>) -> Error {
    let mut options = options(server, tls);
    options.call_timeout = std::time::Duration::from_millis(500);
    Etcd::new(options).unwrap().head().await.unwrap_err()
}

#[tokio::test]
async fn reads_writes_and_watches() {
    let issued = Issued::new();
    let authority = issued.authority("ca");
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
    let authority = issued.authority("ca");
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    // It is up, and answers who is one of ours.
    let tls = files(&client, &client);
    let store = server.store_with(options(&server, tls.clone())).await;
    store.head().await.unwrap();

    let foreign = issued.authority("foreign-ca");
    let stranger = issued.client(&foreign, "stranger");
    let unknown_to_etcd = refusal(&server, files(&client, &stranger)).await;
    assert!(unknown_to_etcd.is_temporary(), "{unknown_to_etcd:?}");
    let etcd_is_unknown = refusal(&server, files(&stranger, &client)).await;
    assert!(etcd_is_unknown.is_temporary(), "{etcd_is_unknown:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_the_next_connection() {
    let issued = Issued::new();
    let authority = issued.authority("ca");
    let server = issued.server(&authority);
    let client = issued.client(&authority, "client");
    let ready = server.store_with(options(&server, files(&client, &client)));
    ready.await.head().await.unwrap();

    let foreign = issued.authority("foreign-ca");
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
    let authority = issued.authority("ca");
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
