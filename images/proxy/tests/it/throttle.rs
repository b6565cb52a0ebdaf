//! Guessing is slowed, the guessed one's user is not.

use std::time::{Duration, Instant};

use buzonera_proxy::Limits;
use buzonera_proxy::throttle::Rules;
use kit::lifecycle::{DRAIN, Shutdown};

use crate::client::Client;
use crate::world::{LOGIN, PATIENCE, World};

/// One failure is free, then a wait that no test sits out, or a short one.
async fn world(wait: Duration) -> World {
    let rules = Rules {
        pair_free: 1,
        pair_first: wait,
        pair_longest: wait,
        address_free: 1,
        address_first: wait,
        address_longest: wait,
        login_free: 1,
        login_first: wait,
        login_longest: wait,
        max_waiting: 1,
        ..Rules::default()
    };
    let limits = Limits {
        max_failed_logins: 10,
        ..Limits::default()
    };
    World::start(limits, rules, Shutdown::new(Duration::ZERO, DRAIN)).await
}

async fn attacker(world: &World) -> Client {
    let client = Client::connect_from("127.0.0.2", world.pop3s).await;
    let mut client = client.encrypt(&world.ca_pem).await;
    client.line().await;
    client
}

#[tokio::test]
async fn the_next_guess_waits() {
    let wait = Duration::from_millis(300);
    let world = world(wait).await;
    let mut client = attacker(&world).await;
    client.login_as(LOGIN, "1").await;
    client.login_as(LOGIN, "2").await;
    let asked = Instant::now();
    let denied = "-ERR [AUTH] wrong name or password";
    assert_eq!(client.login_as(LOGIN, "3").await, denied);
    assert!(asked.elapsed() >= wait);
}

#[tokio::test]
async fn an_attack_from_elsewhere_does_not_slow_the_user() {
    let world = world(PATIENCE * 2).await;
    // The user was here before.
    world.logged_in().await.ask("QUIT").await;
    let mut attack = attacker(&world).await;
    attack.login_as(LOGIN, "1").await;
    attack.login_as(LOGIN, "2").await;
    // One of the attacker's connections waits; the other is refused, whichever comes second.
    let mut other = attacker(&world).await;
    for client in [&mut attack, &mut other] {
        client.say(&format!("USER {LOGIN}\r\nPASS 3\r\n")).await;
        assert_eq!(client.line().await, "+OK now PASS");
    }
    let answer = tokio::select! {
        answer = attack.line() => answer,
        answer = other.line() => answer,
    };
    assert_eq!(
        answer,
        "-ERR [SYS/TEMP] too many failed logins, try again later"
    );
    world.logged_in().await;
}

#[tokio::test]
async fn behind_a_balancer_an_attack_does_not_slow_its_other_clients() {
    let world = world(PATIENCE * 2).await;
    let connect = async |client: &str| {
        let client = Client::through_balancer(world.proxied[1], client).await;
        let mut client = client.encrypt(&world.ca_pem).await;
        client.line().await;
        client
    };
    // The user was here before.
    let welcome = "+OK 0 messages";
    let mut user = connect("203.0.113.10:1").await;
    assert_eq!(user.login().await, welcome);
    user.ask("QUIT").await;
    let mut attack = connect("203.0.113.9:1").await;
    attack.login_as(LOGIN, "1").await;
    attack.login_as(LOGIN, "2").await;
    assert_eq!(connect("203.0.113.10:2").await.login().await, welcome);
}
