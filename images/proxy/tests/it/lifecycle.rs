//! Stopping: no new clients, sessions go on, then the end.

use std::time::Duration;

use buzonera_proxy::Limits;
use buzonera_proxy::throttle::Rules;
use kit::lifecycle::{DRAIN, Shutdown};

use crate::world::{PATIENCE, World, until};

#[tokio::test]
async fn sessions_outlive_the_listeners() {
    let world = World::new().await;
    let mut idle = world.pop3().await;
    let mut client = world.logged_in().await;
    world.shutdown.trigger();
    // Who has not logged in has nothing to lose.
    assert_eq!(idle.line().await, "closed");
    until("the port is closed", || {
        std::net::TcpStream::connect(world.pop3).is_err()
    })
    .await;
    assert_eq!(client.ask("STAT").await, "+OK STAT");
    assert!(!world.serving.is_finished());
    assert_eq!(client.ask("QUIT").await, "+OK QUIT");
    drop(client);
    world.serving.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_deadline() {
    let shutdown = Shutdown::new(Duration::ZERO, Duration::from_millis(50));
    let world = World::start(Limits::default(), Rules::default(), shutdown).await;
    let mut client = world.logged_in().await;
    // More than all buffers on the way hold.
    for _ in 0..32 {
        client.say("FLOOD\r\n").await;
    }
    world.shutdown.trigger();
    let cut = world.shutdown.drained().await.unwrap_err();
    assert_eq!(cut.cut.get("POP3 clients"), Some(&1), "{cut}");
    world.serving.await.unwrap();
    until("its place at the shard is free", || {
        world.shards[0].open() == 0
    })
    .await;
}

#[tokio::test]
async fn a_lame_duck_still_serves() {
    let shutdown = Shutdown::new(PATIENCE * 2, DRAIN);
    let world = World::start(Limits::default(), Rules::default(), shutdown).await;
    world.shutdown.trigger();
    assert!(world.shutdown.is_triggered());
    world.logged_in().await;
}
