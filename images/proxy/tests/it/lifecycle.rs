//! Stopping: no new clients, sessions go on, then the end.

use std::time::Duration;

use buzonera_proxy::Limits;
use buzonera_proxy::throttle::Rules;

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
async fn the_drain_time_is_bounded() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let _client = world.logged_in().await;
    world.shutdown.trigger();
    world.serving.await.unwrap();
}

#[tokio::test]
async fn a_lame_duck_still_serves() {
    let lame_duck = PATIENCE * 2;
    let world = World::start(Limits::default(), Rules::default(), lame_duck).await;
    world.shutdown.trigger();
    assert!(world.shutdown.is_triggered());
    world.logged_in().await;
}
