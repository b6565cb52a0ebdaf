//! Whose store it is.

use std::time::Duration;

use buzonera_directory::{ClusterError, Directory, Error};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use wire::ids::ClusterId;

use crate::world::{World, config};

#[tokio::test]
async fn an_empty_store_under_an_existing_cluster_does_not_serve() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let mut settings = config(&authority, folder.path());
    settings.bootstrap = false;
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let directory = bind::<Directory>(settings, &Admin::default(), &shutdown).await;
    let refused = directory.unwrap().serve().await.unwrap_err();
    assert!(
        matches!(refused, Error::Cluster(ClusterError::Empty(_))),
        "{refused}"
    );
    assert!(refused.to_string().contains("--bootstrap"), "{refused}");
}

#[tokio::test]
async fn another_clusters_store_is_refused() {
    let world = World::start().await;
    let ours = world.authority.cluster();
    world.domain("example.org").await;
    let folder = world.stop().await;
    let place = folder.path().join("other");
    let other = Authority::create(&place.join("ca"), ClusterId::random()).unwrap();
    let mut settings = config(&other, &place);
    settings.store = config(&other, folder.path()).store;
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let directory = bind::<Directory>(settings, &Admin::default(), &shutdown).await;
    let refused = directory.unwrap().serve().await.unwrap_err();
    assert!(
        matches!(refused, Error::Cluster(ClusterError::Other { found, .. }) if found == ours),
        "{refused}"
    );
}
