//! Resolve and Authenticate, over real certificates.

use buzonera_directory::model::Key;
use tonic::Code;
use wire::rpc::authenticate_reply::Result as Login;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{
    AuthenticateRequest, No, RemoveAccountRequest, ResolveQuery, ResolveRequest, SetPasswordRequest,
};

use crate::world::{World, id};

fn by_address(text: &str) -> ResolveQuery {
    ResolveQuery {
        subject: Some(Subject::Address(text.to_owned())),
        at_least_epoch: 0,
    }
}

async fn resolve(world: &World, queries: Vec<ResolveQuery>) -> Vec<Answer> {
    let request = ResolveRequest { queries };
    let reply = world.lookups().resolve(request).await.unwrap().into_inner();
    reply
        .answers
        .into_iter()
        .map(|answer| answer.answer.unwrap())
        .collect()
}

async fn login(world: &World, login: &str, password: &str) -> Login {
    let request = AuthenticateRequest {
        login: login.to_owned(),
        password: password.as_bytes().to_vec().into(),
        client: "192.0.2.1:1000".to_owned(),
    };
    let reply = world.lookups().authenticate(request).await.unwrap();
    reply.into_inner().result.unwrap()
}

#[tokio::test]
async fn each_address_of_a_batch_has_its_own_answer() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let account = world.account("ana@example.org", "").await;
    let queries = vec![
        by_address("ANA+x@example.org"),
        by_address("nobody@example.org"),
        by_address("ana@other.example"),
        ResolveQuery {
            subject: Some(Subject::Postmaster(true)),
            at_least_epoch: 0,
        },
        ResolveQuery {
            subject: Some(Subject::Account(account.route.clone().unwrap().account)),
            at_least_epoch: 2,
        },
    ];
    let answers = resolve(&world, queries).await;
    let Answer::Yes(yes) = &answers[0] else {
        panic!("{answers:?}");
    };
    assert_eq!(yes.recipients[0].route, account.route);
    assert_eq!(yes.recipients[0].address, "ana@example.org");
    assert_eq!(answers[1], Answer::No(No::Unknown.into()));
    assert_eq!(answers[2], Answer::No(No::Foreign.into()));
    assert!(matches!(&answers[3], Answer::Yes(_)));
    assert!(matches!(&answers[4], Answer::NobodyKnows(_)));
}

#[tokio::test]
async fn a_batch_has_at_most_256_queries() {
    let world = World::start().await;
    let queries = vec![by_address("a@example.org"); 257];
    let status = world
        .lookups()
        .resolve(ResolveRequest { queries })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let queries = vec![by_address("a@example.org"); 256];
    assert_eq!(resolve(&world, queries).await.len(), 256);
}

#[tokio::test]
async fn logins_are_granted_and_denied() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let account = world.account("ana@example.org", "secret").await;
    world.account("silent@example.org", "").await;
    for _ in 0..2 {
        let Login::Granted(granted) = login(&world, "Ana@Example.org", "secret").await else {
            panic!("the password is right");
        };
        assert_eq!(granted.route, account.route);
        assert_eq!(granted.address, "ana@example.org");
    }
    for (name, password) in [
        ("ana@example.org", "wrong"),
        ("ana@example.org", ""),
        ("ana+x@example.org", "secret"),
        ("nobody@example.org", "secret"),
        ("silent@example.org", ""),
        ("ana", "secret"),
        ("", ""),
    ] {
        let outcome = login(&world, name, password).await;
        assert!(matches!(outcome, Login::Denied(_)), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_at_once() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "old").await;
    assert!(matches!(
        login(&world, "ana@example.org", "old").await,
        Login::Granted(_)
    ));
    let request = SetPasswordRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        password: b"new".to_vec().into(),
    };
    world.admin().set_password(request).await.unwrap();
    assert!(matches!(
        login(&world, "ana@example.org", "old").await,
        Login::Denied(_)
    ));
    assert!(matches!(
        login(&world, "ana@example.org", "new").await,
        Login::Granted(_)
    ));
}

#[tokio::test]
async fn a_removed_account_is_denied_though_its_login_was_cached() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "secret").await;
    assert!(matches!(
        login(&world, "ana@example.org", "secret").await,
        Login::Granted(_)
    ));
    let request = RemoveAccountRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        purge: false,
    };
    world.admin().remove_account(request).await.unwrap();
    assert!(matches!(
        login(&world, "ana@example.org", "secret").await,
        Login::Denied(_)
    ));
    let answers = resolve(&world, vec![by_address("ana@example.org")]).await;
    assert_eq!(answers, [Answer::No(No::Unknown.into())]);
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let world = World::start().await;
    let shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "secret").await;
    drop(shard);
    let world = world.restart().await;
    assert!(matches!(
        login(&world, "ana@example.org", "secret").await,
        Login::Granted(_)
    ));
    let answers = resolve(&world, vec![by_address("ben@example.org")]).await;
    assert_eq!(answers, [Answer::No(No::Unknown.into())]);
    assert_eq!(Key::Cluster.to_string(), "cluster/id");
}
