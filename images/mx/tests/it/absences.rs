//! A shard that goes and comes back: its mail waits for it in memory, then in the spool, and flows
//! the moment it is back; no other shard's mail takes notice.

use std::time::Duration;

use futures::future::join_all;
use wire::rpc::ShardWord;

use crate::harness::{ANY_PORT, World};

/// Nothing here waits for it.
const LONG: Duration = Duration::from_secs(50);

fn patient(config: &mut buzonera_mx::Config) {
    config.timeouts.wait_for_shard = LONG;
    config.timeouts.spool_after = LONG;
    config.timeouts.lmtp_answer = LONG;
}

fn impatient(config: &mut buzonera_mx::Config) {
    config.timeouts.wait_for_shard = Duration::ZERO;
}

/// With an account on each shard, one message delivered to both, and the directory followed.
async fn world(change: impl FnOnce(&mut buzonera_mx::Config)) -> World {
    let world = World::with(change).await;
    world.account("a@ours.example", 0);
    world.account("b@ours.example", 1);
    world
        .until("it follows", |world| world.directory.followers() == 1)
        .await;
    stored(&world, &["a@ours.example", "b@ours.example"], 0).await;
    world
}

async fn send(world: &World, to: &[&str], number: usize) -> String {
    let mut client = world.client().await;
    let text = format!("Subject: {number}\r\n\r\n");
    client.mail(to, &text).await
}

async fn stored(world: &World, to: &[&str], number: usize) {
    let reply = send(world, to, number).await;
    assert!(reply.ends_with("stored"), "{reply}");
}

async fn queued(world: &World, to: &[&str], number: usize) {
    let reply = send(world, to, number).await;
    assert!(reply.ends_with("queued"), "{reply}");
}

fn waited(world: &World) -> u64 {
    world.counted("waited_total", &["waited"]).unwrap_or(0)
}

fn spooled(world: &World, shard: usize) -> u64 {
    let shard = &world.shards[shard].name;
    world.counted("spooled_total", &[shard]).unwrap_or(0)
}

async fn until_empty(world: &World) {
    world
        .until("the spool is empty", |world| {
            world.spool().counts().entries == 0
        })
        .await;
}

/// Sends messages to the shard that is dead, does something once they all wait, and wants them
/// stored.
async fn while_they_wait(world: &World, messages: usize, act: impl AsyncFnOnce()) {
    let before = waited(world);
    let senders = (0..messages).map(|number| stored(world, &["a@ours.example"], 100 + number));
    let acting = async {
        world
            .until("all wait", |world| {
                waited(world) == before + messages as u64
            })
            .await;
        act().await;
    };
    tokio::join!(join_all(senders), acting);
}

#[tokio::test]
async fn mail_waits_for_a_shard_that_is_killed_and_started_and_none_is_spooled() {
    let world = world(patient).await;
    let endpoint = world.shards[0].endpoint();
    world.kill(0).await;
    while_they_wait(&world, 20, async || {
        for number in 0..20 {
            stored(&world, &["b@ours.example"], 200 + number).await;
        }
        world.revive(0, &endpoint);
        world.tell(0, true);
    })
    .await;
    assert_eq!((spooled(&world, 0), spooled(&world, 1)), (0, 0));
    assert_eq!(world.spool().away(), 0);
}

#[tokio::test]
async fn it_may_come_back_at_another_address() {
    let world = world(patient).await;
    world.kill(0).await;
    while_they_wait(&world, 3, async || {
        world.revive(0, ANY_PORT);
        world.tell(0, true);
    })
    .await;
    assert_eq!(spooled(&world, 0), 0);
}

/// Where the directory tells nothing a probe is the way: the waiting mail itself.
#[tokio::test]
async fn a_probe_finds_it_when_nobody_tells() {
    let world = world(patient).await;
    let endpoint = world.shards[0].endpoint();
    world.directory.be_mute();
    world.kill(0).await;
    while_they_wait(&world, 3, async || world.revive(0, &endpoint)).await;
    assert_eq!((spooled(&world, 0), world.spool().away()), (0, 0));
}

#[tokio::test]
async fn lmtp_waits_too() {
    let world = world(patient).await;
    let endpoint = world.shards[0].endpoint();
    world.kill(0).await;
    let sending = async {
        let mut client = world.lmtp_client().await;
        let reply = client.mail(&["a@ours.example"], "Subject: l\r\n\r\n").await;
        assert!(reply.ends_with("stored"), "{reply}");
    };
    let coming_back = async {
        world.until("it waits", |world| waited(world) == 1).await;
        world.revive(0, &endpoint);
        world.tell(0, true);
    };
    tokio::join!(sending, coming_back);
}

#[tokio::test]
async fn a_shard_that_stays_away_is_spooled_for_at_once_and_drained_when_it_is_back() {
    let world = world(impatient).await;
    let endpoint = world.shards[0].endpoint();
    world.kill(0).await;
    for number in 1..=30 {
        queued(&world, &["a@ours.example"], number).await;
        stored(&world, &["b@ours.example"], number).await;
    }
    assert_eq!(
        (waited(&world), spooled(&world, 0), spooled(&world, 1)),
        (0, 30, 0)
    );
    world.revive(0, &endpoint);
    world.tell(0, true);
    until_empty(&world).await;
    assert_eq!(world.shards[0].kept().len(), 1 + 30);
    stored(&world, &["a@ours.example"], 31).await;
}

/// Above the bounds it is spooled for, and mail for the other shard is stored all the while.
#[tokio::test]
async fn what_waits_is_bounded() {
    let world = world(|config| {
        patient(config);
        config.limits.max_connections = 40;
        config.limits.max_per_address = 40;
    })
    .await;
    let endpoint = world.shards[0].endpoint();
    world.kill(0).await;
    while_they_wait(&world, 10, async || {
        queued(&world, &["a@ours.example"], 1).await;
        queued(&world, &["a@ours.example", "b@ours.example"], 2).await;
        stored(&world, &["b@ours.example"], 3).await;
        assert_eq!((spooled(&world, 0), spooled(&world, 1)), (2, 0));
        world.revive(0, &endpoint);
        world.tell(0, true);
    })
    .await;
    until_empty(&world).await;
    assert_eq!(world.shards[0].kept().len(), 1 + 10 + 2);
}

#[tokio::test]
async fn a_name_that_cannot_be_a_shards_stops_nothing() {
    let world = world(patient).await;
    let endpoint = world.shards[0].endpoint();
    world.kill(0).await;
    while_they_wait(&world, 1, async || {
        world.directory.tell(ShardWord {
            shard: "No Shard!".into(),
            incarnation: 1,
            serving: true,
            rpc_endpoint: "nowhere".into(),
        });
        world.revive(0, &endpoint);
        world.tell(0, true);
    })
    .await;
    assert_eq!(world.directory.followers(), 1);
}
