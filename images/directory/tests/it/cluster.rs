//! Whose store it is, and what a replica says until it knows.

use std::time::Duration;

use buzonera_directory::{ClusterError, Directory, Error, WhenEmpty};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::access::TABLE;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::{refusal, word_of};
use tempfile::TempDir;
use tonic::{Code, Status};
use wire::answer::{NotMe, Word};
use wire::identity::Tier;
use wire::ids::ClusterId;
use wire::rpc::refusal::Why;
use wire::rpc::{BootstrapRequest, ReplicaState, ReplicaStatus, StatusRequest};

use crate::access::call;
use crate::world::{World, config, until};

/// One that has a store nobody has used, and no word about it.
async fn waiting() -> World {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    unasked(folder, authority).await
}

/// Nobody says what to do with an empty store.
async fn unasked(folder: TempDir, authority: Authority) -> World {
    let mut settings = config(&authority, folder.path());
    settings.when_empty = WhenEmpty::Wait;
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let directory = bind::<Directory>(settings, &Admin::default(), &shutdown).await;
    World::serve_unasked(folder, authority, directory.unwrap(), shutdown)
}

async fn bootstrap(world: &World, cluster: ClusterId) -> Result<bool, Status> {
    let cluster_id = cluster.to_string();
    let request = BootstrapRequest { cluster_id };
    let reply = world.operator().bootstrap(request).await?;
    Ok(reply.into_inner().created)
}

async fn status(world: &World) -> ReplicaStatus {
    let reply = world.operator().status(StatusRequest {}).await;
    reply.unwrap().into_inner()
}

async fn is_in(world: &World, state: ReplicaState) {
    until("the replica's state", || async {
        (status(world).await.state() == state).then_some(())
    })
    .await;
}

/// Under an existing cluster an empty store is a lost one, and every mailbox would seem to be none.
#[tokio::test]
async fn before_an_empty_store_a_replica_answers_nothing_else() {
    let world = waiting().await;
    is_in(&world, ReplicaState::Empty).await;
    let before = [
        "/buzonera.v1.Operator/Bootstrap",
        "/buzonera.v1.Operator/Status",
    ];
    let services = ["Directory", "Registry", "Admin", "Operator"];
    let served = services.map(|service| format!("/buzonera.v1.{service}/"));
    for (method, tiers) in TABLE {
        if !served.iter().any(|service| method.starts_with(service)) {
            continue;
        }
        let said = call(world.channel(tiers[0], "one"), method).await;
        let word = said.err().as_ref().and_then(word_of);
        let not_me = word == Some(Word::NotMe(NotMe::EmptyStore));
        assert_eq!(not_me, !before.contains(method), "{method}: {word:?}");
    }
}

#[tokio::test]
async fn a_bootstrap_makes_it_the_clusters_once() {
    let world = waiting().await;
    let ours = world.authority.cluster();
    is_in(&world, ReplicaState::Empty).await;
    assert!(bootstrap(&world, ours).await.unwrap());
    assert!(!bootstrap(&world, ours).await.unwrap());
    is_in(&world, ReplicaState::Serving).await;
    world.domain("example.org").await;
    let told = status(&world).await;
    assert_eq!(told.cluster_id, ours.to_string());
    assert_eq!(told.instance, "directory-0");
    let bundle = kit::tls::fingerprint(world.authority.ca_pem()).unwrap();
    assert_eq!(told.identity_bundle, bundle);
    assert_eq!(told.store_identity_bundle, "");

    // What it kept is found again, and nobody has to say so.
    let folder = world.stop().await;
    let authority = Authority::open(&folder.path().join("ca")).unwrap();
    let world = unasked(folder, authority).await;
    is_in(&world, ReplicaState::Serving).await;
}

#[tokio::test]
async fn a_bootstrap_of_another_cluster_is_refused_by_name() {
    let world = waiting().await;
    let ours = world.authority.cluster();
    let refused = bootstrap(&world, ClusterId::random()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let Some(Why::OtherCluster(other)) = refusal(&refused) else {
        panic!("{refused:?}");
    };
    assert_eq!(other.cluster_id, ours.to_string());
    assert!(refused.message().contains(&ours.to_string()), "{refused}");
}

/// A store with keys and no cluster is a broken one.
#[tokio::test]
async fn a_store_that_holds_something_is_no_new_one() {
    use buzonera_directory::store::embedded::{Embedded, Options};
    use buzonera_directory::store::{Store as _, Txn};

    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
    let txn = Txn::new().put("domains/example.org", "");
    store.unwrap().commit(txn).await.unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let ours = authority.cluster();
    let world = unasked(folder, authority).await;
    let refused = bootstrap(&world, ours).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(matches!(refusal(&refused), Some(Why::NotEmptyStore(_))));
}

#[tokio::test]
async fn who_knows_that_the_cluster_is_not_new_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let mut settings = config(&authority, folder.path());
    settings.when_empty = WhenEmpty::Refuse;
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let directory = bind::<Directory>(settings, &Admin::default(), &shutdown).await;
    let refused = directory.unwrap().serve().await.unwrap_err();
    assert!(
        matches!(refused, Error::Cluster(ClusterError::Empty(_))),
        "{refused}"
    );
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
    settings.when_empty = WhenEmpty::Wait;
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let directory = bind::<Directory>(settings, &Admin::default(), &shutdown).await;
    let refused = directory.unwrap().serve().await.unwrap_err();
    assert!(
        matches!(refused, Error::Cluster(ClusterError::Other { found, .. }) if found == ours),
        "{refused}"
    );
}

/// Two clusters may share one etcd: neither sees a key of the other.
#[tokio::test]
async fn each_cluster_has_its_own_keys_in_etcd() {
    let endpoint = crate::etcd::shared().endpoint();
    let store = buzonera_directory::StoreAt::Etcd(vec![endpoint]);
    let (one, other) = (
        World::start_with(|config| config.store = store.clone()).await,
        World::start_with(|config| config.store = store.clone()).await,
    );
    one.domain("example.org").await;
    let domains = async |world: &World| {
        let status = world.admin().status(StatusRequest {}).await.unwrap();
        status.into_inner().domains
    };
    assert_eq!((domains(&one).await, domains(&other).await), (1, 0));
}

#[test]
fn an_operator_has_no_right_to_accounts_passwords_or_mail() {
    let of_operator = TABLE
        .iter()
        .filter(|(_, tiers)| tiers.contains(&Tier::Operator));
    let others: Vec<_> = of_operator
        .map(|(method, _)| method.trim_start_matches("/buzonera.v1."))
        .filter(|method| !method.starts_with("Operator/"))
        .collect();
    let expected = [
        "Admin/AddDomain",
        "Admin/ListMoves",
        "Admin/StartMoves",
        "Admin/AbortMoves",
        "Admin/ShowMoveLimits",
        "Admin/SetMoveLimits",
        "Admin/ListShardAccounts",
        "SpoolAdmin/Cordon",
        "SpoolAdmin/Status",
    ];
    assert_eq!(others, expected);
}
