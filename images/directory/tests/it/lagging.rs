//! A replica whose watch is held back never says no.

use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use buzonera_directory::store::{SharedStore, Store as _};
use kit::authority::Authority;
use wire::answer::NobodyKnows;
use wire::ids::ClusterId;
use wire::rpc::authenticate_reply::Result as Login;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{
    AddAliasRequest, AddShardRequest, AuthenticateRequest, No, RemoveAccountRequest, ResolveAnswer,
    ResolveQuery, ResolveRequest, ShardInfo,
};

use crate::world::{Shard, World, config, id, until};

/// A replica that is current, and one over the same store that can be held back.
pub(crate) async fn replicas() -> (World, World, Arc<Lagging>) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
    let store: SharedStore = Arc::new(store.unwrap());
    let lagging = Arc::new(Lagging::new(Arc::clone(&store)));
    assert_eq!(lagging.kind(), "embedded");
    let mut settings = config(&authority, folder.path());
    settings.authenticate.proof = Duration::from_millis(200);
    settings.admin.proof = Duration::from_secs(1);
    let again = Authority::open(&folder.path().join("ca")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let first = World::over(folder, authority, settings.clone(), store).await;
    let second = World::over(copy, again, settings, Arc::clone(&lagging) as SharedStore).await;
    (first, second, lagging)
}

async fn resolve(world: &World, subject: Subject, at_least_epoch: u64) -> Answer {
    let query = ResolveQuery {
        subject: Some(subject),
        at_least_epoch,
    };
    let request = ResolveRequest {
        queries: vec![query],
    };
    let reply = world.lookups().resolve(request).await.unwrap().into_inner();
    let answer: ResolveAnswer = reply.answers.into_iter().next().unwrap();
    answer.answer.unwrap()
}

fn address(text: &str) -> Subject {
    Subject::Address(text.to_owned())
}

async fn login(world: &World) -> Login {
    let request = AuthenticateRequest {
        login: "ana@example.org".to_owned(),
        password: b"secret".to_vec().into(),
        client: String::new(),
    };
    let reply = world.lookups().authenticate(request).await.unwrap();
    reply.into_inner().result.unwrap()
}

#[tokio::test]
async fn what_a_lagging_replica_cannot_prove_nobody_knows() {
    let (first, second, lagging) = replicas().await;
    let _shard = first.shard("shard-1").await;
    first.domain("example.org").await;
    let known = resolve(&second, address("ana@example.org"), 0).await;
    assert_eq!(known, Answer::No(No::Unknown.into()));

    lagging.hold();
    first.account("ana@example.org", "secret").await;
    let behind = resolve(&second, address("ana@example.org"), 0).await;
    assert!(matches!(behind, Answer::NobodyKnows(_)), "{behind:?}");
    let foreign = resolve(&second, address("ana@other.example"), 0).await;
    assert!(matches!(foreign, Answer::NobodyKnows(_)), "{foreign:?}");
    let denied = login(&second).await;
    assert!(matches!(denied, Login::NobodyKnows(_)), "{denied:?}");
    let name = wire::rpc::AddressName {
        address: "ana@example.org".to_owned(),
    };
    let status = second.admin().show_account(name).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);

    lagging.release();
    let caught_up = resolve(&second, address("ana@example.org"), 0).await;
    assert!(matches!(caught_up, Answer::Yes(_)), "{caught_up:?}");
    assert!(matches!(login(&second).await, Login::Granted(_)));
}

/// Left out of an alias is a no too.
#[tokio::test]
async fn whom_a_lagging_replica_does_not_know_is_not_left_out_of_an_alias() {
    let (first, second, lagging) = replicas().await;
    let _shard = first.shard("shard-1").await;
    first.domain("example.org").await;
    first.account("ana@example.org", "").await;
    first.account("bo@example.org", "").await;
    let alias = AddAliasRequest {
        request_id: id(),
        address: "team@example.org".to_owned(),
        targets: vec!["ana@example.org".to_owned(), "bo@example.org".to_owned()],
    };
    first.admin().add_alias(alias).await.unwrap();
    let removal = RemoveAccountRequest {
        request_id: id(),
        address: "bo@example.org".to_owned(),
        purge: false,
    };
    first.admin().remove_account(removal).await.unwrap();
    assert_eq!(team(&second).await, Some(1));
    lagging.hold();
    first.account("bo@example.org", "").await;
    assert_eq!(team(&second).await, None);
    lagging.release();
    assert_eq!(team(&second).await, Some(2));
}

/// How many recipients the alias has; none: nobody knows.
async fn team(world: &World) -> Option<usize> {
    match resolve(world, address("team@example.org"), 0).await {
        Answer::Yes(recipients) => Some(recipients.recipients.len()),
        Answer::NobodyKnows(_) => None,
        Answer::No(no) => panic!("{no}"),
    }
}

#[tokio::test]
async fn a_lagging_replica_does_not_speak_of_shards() {
    let (first, second, lagging) = replicas().await;
    lagging.hold();
    let _shard = first.shard("shard-1").await;
    let refused = add_shard(&second, "shard-1").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    lagging.release();
    let known = add_shard(&second, "shard-1").await.unwrap();
    assert!(known.live && known.incarnation == 1, "{known:?}");
}

async fn add_shard(world: &World, name: &str) -> Result<ShardInfo, tonic::Status> {
    let request = AddShardRequest {
        request_id: id(),
        name: name.to_owned(),
    };
    let added = world.admin().add_shard(request).await?;
    Ok(added.into_inner())
}

#[tokio::test]
async fn a_yes_comes_from_memory_though_the_watch_is_held() {
    let (first, second, lagging) = replicas().await;
    let _shard = first.shard("shard-1").await;
    first.domain("example.org").await;
    let account = first.account("ana@example.org", "secret").await;
    let route = account.route.unwrap();
    let yes = resolve(
        &second,
        Subject::Account(route.account.clone()),
        route.epoch,
    )
    .await;
    assert!(matches!(yes, Answer::Yes(_)), "{yes:?}");
    lagging.hold();
    let yes = resolve(&second, address("ana@example.org"), 0).await;
    assert!(matches!(yes, Answer::Yes(_)), "{yes:?}");
    let later = resolve(&second, Subject::Account(route.account), route.epoch + 1).await;
    assert!(matches!(later, Answer::NobodyKnows(_)), "{later:?}");
}

/// Makes an account whose shard comes on when the second replica's watch is already held: there it
/// is still to be made.
async fn made_while_held(first: &World, second: &World, lagging: &Lagging) -> Shard {
    let ana = || address("ana@example.org");
    let is_made = |answer| matches!(answer, Answer::Yes(_)).then_some(());
    first.domain("example.org").await;
    add_shard(first, "shard-1").await.unwrap();
    let shard = async {
        until("it is to be made", || async {
            let answer = resolve(second, ana(), 0).await;
            (answer == Answer::NobodyKnows(NobodyKnows::Creating.into())).then_some(())
        })
        .await;
        lagging.hold();
        first.shard("shard-1").await
    };
    let (_, shard) = tokio::join!(first.account("ana@example.org", "secret"), shard);
    until("it is made", || async {
        is_made(resolve(first, ana(), 0).await)
    })
    .await;
    shard
}

/// What the other replica already knows holds no mail back here.
#[tokio::test]
async fn mail_for_an_account_just_made_waits_for_the_watch() {
    let (first, second, lagging) = replicas().await;
    let _shard = made_while_held(&first, &second, &lagging).await;
    let ((), answer) = tokio::join!(
        lagging.release_when_asked(),
        resolve(&second, address("ana@example.org"), 0)
    );
    assert!(matches!(answer, Answer::Yes(_)), "{answer:?}");
}

#[tokio::test]
async fn a_login_to_an_account_just_made_waits_for_the_watch() {
    let (first, second, lagging) = replicas().await;
    let _shard = made_while_held(&first, &second, &lagging).await;
    let ((), login) = tokio::join!(lagging.release_when_asked(), login(&second));
    assert!(matches!(login, Login::Granted(_)), "{login:?}");
}
