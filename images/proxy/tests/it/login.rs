//! Logging in: to the right shard with the right words, or a refusal that says which.

use std::time::{Duration, Instant};

use buzonera_proxy::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use wire::answer::NobodyKnows;
use wire::ids::Epoch;
use wire::rpc::authenticate_reply::Result as Answer;
use wire::rpc::{self, Busy};
use wire::sasl;

use crate::shard::HANG;
use crate::world::{ANY, LOGIN, PASSWORD, PATIENCE, World, until};

const CHECK_LATER: &str = "-ERR [SYS/TEMP] cannot check the password now, try again later";
const REACH_LATER: &str = "-ERR [SYS/TEMP] the mailbox cannot be reached now, try again later";

#[tokio::test]
async fn the_shard_is_told_whom_it_gets() {
    let world = World::new().await;
    let mut client = world.logged_in().await;
    let handoffs = world.shards[0].handoffs();
    assert_eq!(
        (handoffs[0].account, handoffs[0].epoch),
        (world.account, Epoch(7))
    );
    assert!(handoffs[0].client.ip().is_loopback());
    assert_eq!(world.directory.passwords(), [PASSWORD.as_bytes()]);
    // From here on nothing is parsed: not even what no POP3 server knows.
    assert_eq!(client.ask("XYZZY  \u{1}").await, "+OK XYZZY  \u{1}");
    assert_eq!(client.ask("QUIT").await, "+OK QUIT");
    assert_eq!(client.line().await, "closed");
    until("the shard's session is over", || {
        world.shards[0].open() == 0
    })
    .await;
}

#[tokio::test]
async fn auth_plain_with_and_without_an_initial_response() {
    let world = World::new().await;
    let response = sasl::encode(format!("\0{LOGIN}\0{PASSWORD}").as_bytes());
    let mut client = world.pop3s().await;
    assert_eq!(
        client.ask(&format!("AUTH PLAIN {response}")).await,
        "+OK 0 messages"
    );
    let mut client = world.pop3s().await;
    assert_eq!(client.ask("AUTH PLAIN").await, "+ ");
    assert_eq!(client.ask("*").await, "-ERR authentication cancelled");
    assert_eq!(client.ask("AUTH PLAIN").await, "+ ");
    assert_eq!(client.ask(&response).await, "+OK 0 messages");
}

#[tokio::test]
async fn a_whole_session_may_come_in_one_piece() {
    let world = World::new().await;
    let mut client = world.pop3s().await;
    let session = format!("USER {LOGIN}\r\nPASS {PASSWORD}\r\nSTAT\r\nNOOP\r\nQUIT\r\n");
    client.say(&session).await;
    client.io.shutdown().await.unwrap();
    let expected = "+OK now PASS\r\n+OK 0 messages\r\n+OK STAT\r\n+OK NOOP\r\n+OK QUIT\r\n";
    assert_eq!(client.rest().await, expected);
}

#[tokio::test]
async fn only_the_directory_says_no() {
    let world = World::new().await;
    let mut client = world.pop3s().await;
    let denied = "-ERR [AUTH] wrong name or password";
    assert_eq!(client.login_as(LOGIN, "x").await, denied);
    assert_eq!(client.login_as("nobody@example.org", "x").await, denied);
    world.directory.answers(Some(Answer::Busy(Busy {})));
    assert_eq!(client.login().await, CHECK_LATER);
    world
        .directory
        .answers(Some(Answer::NobodyKnows(NobodyKnows::Unproven.into())));
    assert_eq!(client.login().await, CHECK_LATER);
    world.directory.answers(None);
    assert_eq!(client.login().await, "+OK 0 messages");
}

#[tokio::test]
async fn three_failures_close() {
    let world = World::new().await;
    let mut client = world.pop3s().await;
    for _ in 0..3 {
        assert!(client.login_as(LOGIN, "x").await.starts_with("-ERR [AUTH]"));
    }
    assert_eq!(client.line().await, "closed");
}

#[tokio::test]
async fn no_directory_is_temporary() {
    let world = World::new().await;
    world.directory.stop();
    let mut client = world.pop3s().await;
    until("the directory is gone", || {
        std::net::TcpStream::connect(world.directory.address).is_err()
    })
    .await;
    assert_eq!(client.login().await, CHECK_LATER);
    assert_eq!(client.ask("QUIT").await, "+OK bye");
}

#[tokio::test]
async fn what_a_shard_refuses() {
    let world = World::new().await;
    let mut client = world.pop3s().await;
    world.shards[0].will_say("-ERR [IN-USE] another session has it");
    assert_eq!(client.login().await, "-ERR [IN-USE] another session has it");
    world.shards[0].will_say("-ERR [SYS/TEMP] no lease");
    let later = "-ERR [SYS/TEMP] the mailbox is not available, try again later";
    assert_eq!(client.login().await, later);
    world.shards[0].will_say("what?");
    assert_eq!(client.login().await, REACH_LATER);
    assert_eq!(client.login().await, "+OK 0 messages");
}

#[tokio::test]
async fn a_shard_that_is_away_is_temporary() {
    let world = World::new().await;
    let mut route = world.route(0, 7);
    route.pop3_endpoint = "127.0.0.1:1".to_owned();
    world.directory.knows(LOGIN, PASSWORD, route.clone());
    let mut client = world.pop3s().await;
    assert_eq!(client.login().await, REACH_LATER);
    route.pop3_endpoint = String::new();
    world.directory.knows(LOGIN, PASSWORD, route);
    assert_eq!(client.login().await, REACH_LATER);
}

/// One that takes the connection and says nothing, one whose TLS stands and who then says nothing,
/// one that hangs where the account has moved to: each is given up in time.
#[tokio::test]
async fn a_shard_that_hangs_is_temporary() {
    let limits = Limits {
        handover: Duration::from_millis(300),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mute = TcpListener::bind(ANY).await.unwrap();
    let mut route = world.route(0, 7);
    route.pop3_endpoint = mute.local_addr().unwrap().to_string();
    let mut client = world.pop3s().await;
    let began = Instant::now();
    world.directory.knows(LOGIN, PASSWORD, route.clone());
    assert_eq!(client.login().await, REACH_LATER);
    world.directory.knows(LOGIN, PASSWORD, world.route(0, 7));
    world.shards[0].will_say(HANG);
    assert_eq!(client.login().await, REACH_LATER);
    world.shards[0].will_say("-ERR [MOVED/8] elsewhere");
    world
        .directory
        .routes(vec![rpc::Route { epoch: 8, ..route }]);
    assert_eq!(client.login().await, REACH_LATER);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < PATIENCE / 2,
        "{took:?}"
    );
    assert_eq!(client.login().await, "+OK 0 messages");
}

/// A stale route leads to a shard that has since got another's address: it must not be spoken to.
#[tokio::test]
async fn another_shard_at_the_address_gets_nobody() {
    let world = World::new().await;
    let mut route = world.route(0, 7);
    route.pop3_endpoint = world.shards[1].address.to_string();
    world.directory.knows(LOGIN, PASSWORD, route);
    let mut client = world.pop3s().await;
    assert_eq!(client.login().await, REACH_LATER);
    assert!(world.shards[1].handoffs().is_empty());
}
