//! Channels come back by themselves, keep their deadlines, and say what is wrong.

use std::time::{Duration, Instant};

use buzonera_kit::rpc::{ChannelOptions, ShardChannels, channel, is_unsent};
use tokio::net::TcpListener;
use tonic::Code;
use wire::identity::Tier;

use crate::support::{Cluster, Replica, ask, quick, until};

#[tokio::test]
async fn it_connects_again_after_a_restart() {
    let cluster = Cluster::new();
    let server = cluster.credentials(Tier::Directory, "directory-0");
    let replica = Replica::start(&cluster, "directory-0");
    let address = replica.address;
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channel = cluster.channel(&mx, &replica);
    ask(&channel).await.unwrap();
    replica.stop().await;
    until("the loss is noticed", async || !channel.is_connected()).await;
    let away = ask(&channel).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable);
    assert!(is_unsent(&away), "{away}");
    let message = away.message();
    assert!(message.contains("directory/directory-0"), "{away}");
    assert!(message.contains(&address.to_string()), "{away}");
    let _again = Replica::start_with(&server, address);
    until("it is back", async || ask(&channel).await.is_ok()).await;
}

#[tokio::test]
async fn a_restart_between_two_calls_fails_neither() {
    let cluster = Cluster::new();
    let server = cluster.credentials(Tier::Directory, "directory-0");
    let mut replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channel = cluster.channel(&mx, &replica);
    for _ in 0..5 {
        ask(&channel).await.unwrap();
        let address = replica.address;
        replica.stop().await;
        replica = Replica::start_with(&server, address);
    }
}

#[tokio::test]
async fn a_call_has_a_deadline() {
    const DEADLINE: Duration = Duration::from_millis(100);
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    replica.hang();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let expect = cluster.identity(Tier::Directory, "directory-0");
    let options = ChannelOptions {
        deadline: DEADLINE,
        ..quick()
    };
    let channel = channel(&replica.endpoint(), &expect, &mx, options).unwrap();
    let asked = Instant::now();
    let late = ask(&channel).await.unwrap_err();
    assert!(asked.elapsed() >= DEADLINE);
    assert!(!is_unsent(&late));
    assert_eq!(late.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_fails_all_who_wait() {
    const LIMIT: Duration = Duration::from_millis(200);
    let cluster = Cluster::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let expect = cluster.identity(Tier::Directory, "directory-0");
    let options = ChannelOptions {
        connect_timeout: LIMIT,
        pause_after_failure: Duration::from_secs(60),
        ..quick()
    };
    let channel = channel(&endpoint, &expect, &mx, options).unwrap();
    let asked = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { ask(&channel).await })
        })
        .collect();
    for call in calls {
        assert!(is_unsent(&call.await.unwrap().unwrap_err()));
    }
    // One attempt for all, not one after the other.
    assert!(asked.elapsed() < LIMIT * 10);
    assert!(is_unsent(&ask(&channel).await.unwrap_err()));
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channel = cluster.channel(&mx, &replica);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { ask(&channel).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(replica.calls(), 200);
}

#[tokio::test]
async fn shards_are_remembered_until_they_move() {
    let cluster = Cluster::new();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channels = ShardChannels::new(mx, quick());
    let shard = "shard-1".parse().unwrap();
    let first = channels.get(&shard, "127.0.0.1:1").unwrap();
    assert_eq!(
        first.target(),
        channels.get(&shard, "127.0.0.1:1").unwrap().target()
    );
    let moved = channels.get(&shard, "127.0.0.1:2").unwrap();
    assert!(moved.target().ends_with("storage/shard-1 at 127.0.0.1:2"));
    channels.get(&shard, "nowhere").unwrap_err();
}
