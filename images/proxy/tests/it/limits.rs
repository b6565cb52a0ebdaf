//! Every bound, and the words that go with it.

use std::time::Duration;

use buzonera_proxy::Limits;
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;
use crate::world::{LOGIN, PASSWORD, PATIENCE, World, until};

const FULL: &str = "-ERR [SYS/TEMP] too many connections, try again later";

#[tokio::test]
async fn a_full_house_says_so_on_both_ports() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let first = (world.pop3().await, world.pop3s().await);
    let mut second = Client::connect(world.pop3).await;
    assert_eq!(second.line().await, FULL);
    assert_eq!(second.line().await, "closed");
    let mut second = Client::connect(world.pop3s)
        .await
        .encrypt(&world.ca_pem)
        .await;
    assert_eq!(second.line().await, FULL);
    assert_eq!(second.line().await, "closed");
    drop(first);
    let mut third = Client::connect(world.pop3).await;
    while third.line().await != "+OK Buzonera" {
        third = Client::connect(world.pop3).await;
    }
}

#[tokio::test]
async fn one_address_cannot_take_all() {
    let limits = Limits {
        max_per_address: 1,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let _first = world.pop3().await;
    assert_eq!(Client::connect(world.pop3).await.line().await, FULL);
    let mut other = Client::connect_from("127.0.0.2", world.pop3).await;
    assert_eq!(other.line().await, "+OK Buzonera");
}

#[tokio::test]
async fn one_user_cannot_take_all() {
    let limits = Limits {
        max_per_user: 1,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let first = world.logged_in().await;
    let mut second = world.pop3s().await;
    let later = "-ERR [SYS/TEMP] too many sessions of this account";
    assert_eq!(second.login().await, later);
    drop(first);
    until("the first is over", || world.shards[0].open() == 0).await;
    loop {
        match second.login().await.as_str() {
            "+OK 0 messages" => break,
            refused => assert_eq!(refused, later),
        }
    }
}

#[tokio::test]
async fn who_does_not_log_in_is_shown_out() {
    let limits = Limits {
        login: Duration::from_millis(100),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    // Also one that never begins TLS, and one that dribbles.
    let mut silent = world.pop3().await;
    let mut no_tls = Client::connect(world.pop3s).await;
    let mut dribbles = world.pop3s().await;
    dribbles.say("US").await;
    assert_eq!(silent.line().await, "closed");
    assert_eq!(no_tls.rest().await, "");
    assert_eq!(dribbles.line().await, "closed");
}

/// It asks before login, and takes no answer, in the clear and under TLS.
#[tokio::test]
async fn who_asks_and_never_reads_is_shown_out() {
    let limits = Limits {
        login: Duration::from_secs(1),
        write: Duration::from_millis(300),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    for mut client in [world.pop3().await, world.pop3s().await] {
        let questions = "CAPA\r\n".repeat(10_000);
        let flood = async { while client.io.write_all(questions.as_bytes()).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, flood)
            .await
            .expect("it is never given up");
    }
    world.logged_in().await;
}

/// Clients that say nothing fill the house: the next are told so, and counted; when the first are
/// shown out there is room again.
#[tokio::test]
async fn silent_clients_at_the_cap() {
    let limits = Limits {
        max_connections: 10,
        login: Duration::from_secs(3),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(world.pop3().await);
        // One that never begins its handshake.
        silent.push(Client::connect(world.pop3s).await);
    }
    for _ in 0..5 {
        assert_eq!(Client::connect(world.pop3).await.line().await, FULL);
    }
    let text = world.metrics.text();
    let refused = text.lines().find(|line| {
        line.contains("connections_refused_total")
            && line.contains("\"pop3\"")
            && line.contains("\"full\"")
    });
    assert!(refused.is_some_and(|line| line.ends_with(" 5")), "{text}");
    for client in &mut silent {
        client.rest().await;
    }
    until("there is room", || {
        let text = world.metrics.text();
        let mut open = text
            .lines()
            .filter(|line| line.starts_with("buzonera_proxy_connections{"));
        open.all(|line| line.ends_with(" 0"))
    })
    .await;
    world.logged_in().await;
}

#[tokio::test]
async fn an_idle_session_ends_at_both_sides() {
    let limits = Limits {
        idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut client = world.logged_in().await;
    assert_eq!(client.line().await, "closed");
    until("the shard's session is over", || {
        world.shards[0].open() == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let limits = Limits {
        write: Duration::from_millis(200),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut client = world.logged_in().await;
    for _ in 0..32 {
        client.say("FLOOD\r\n").await;
    }
    until("the shard's session is over", || {
        world.shards[0].open() == 0
    })
    .await;
}

#[tokio::test]
async fn a_vanished_client_frees_the_shard() {
    let world = World::new().await;
    let client = world.logged_in().await;
    assert_eq!(world.shards[0].open(), 1);
    drop(client);
    until("the shard's session is over", || {
        world.shards[0].open() == 0
    })
    .await;
    let mut again = world.pop3s().await;
    assert_eq!(again.login_as(LOGIN, PASSWORD).await, "+OK 0 messages");
}
