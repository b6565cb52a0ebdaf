//! One session at a time; a session that is over frees its maildrop, however it ended.

use std::time::Duration;

use buzonera_storage::pop3::{Config, Times};

use crate::net::LOOPBACK;
use crate::pop3::site::{OWNER, Site, auth, config};
use crate::rig::{account, as_read};

const IN_USE: &str = "-ERR [IN-USE] the maildrop is open in another session";

/// Waits until the owner's maildrop is free.
pub(crate) async fn free(site: &Site) {
    loop {
        let mut client = site.proxy().await;
        match client.ask(&auth(account(OWNER), 1)).await.as_str() {
            IN_USE => continue,
            answer => assert!(answer.starts_with("+OK "), "{answer}"),
        }
        // The lock goes before the last words.
        assert_eq!(client.ask("QUIT").await, "+OK bye");
        return;
    }
}

#[tokio::test]
async fn a_second_session_is_told() {
    let site = Site::new(301, &[]).await;
    let mut first = site.opened().await;
    let mut second = site.proxy().await;
    assert_eq!(second.ask(&auth(account(OWNER), 1)).await, IN_USE);
    assert_eq!(second.line().await, "closed");
    assert_eq!(first.ask("QUIT").await, "+OK bye");
    // Whoever has read the last words can log in again at once.
    site.opened().await;
}

#[tokio::test]
async fn an_idle_client_loses_it_without_a_word() {
    let mut config = config();
    config.times.idle = Duration::from_millis(50);
    let site = Site::with(302, config, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    client.say("DELE 1\r\n").await;
    assert_eq!(client.rest().await, "+OK message 1 marked\r\n");
    free(&site).await;
    assert_eq!(site.rig.shard().totals().messages, 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_it() {
    let mut config = config();
    config.times.write = Duration::from_millis(100);
    let line = format!("{}\r\n", "x".repeat(70));
    let body = line.repeat(10_000);
    let site = Site::with(303, config, &[body.as_bytes()]).await;
    let mut client = site.opened().await;
    // More than the sockets between us hold.
    client.say(&"RETR 1\r\n".repeat(32)).await;
    free(&site).await;
    let whole = as_read(account(OWNER), body.as_bytes()).len();
    // What came of it does not look like the whole.
    assert!(client.rest().await.len() < 32 * whole);
}

#[tokio::test]
async fn other_epochs_are_told_where() {
    let site = Site::new(304, &[]).await;
    let mut client = site.proxy().await;
    let answer = client.ask(&auth(account(9), 3)).await;
    assert!(
        answer.starts_with("-ERR [MOVED/") || answer.starts_with("-ERR [SYS/TEMP] "),
        "{answer}"
    );
    assert_eq!(client.line().await, "closed");
}

/// The network goes without a word; keep-alive notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_loses_it() {
    let test = "pop3::locking::a_dead_peer_loses_it";
    if !crate::apart::is_inside(test, "--net", "ip link set lo up", "") {
        return;
    }
    let times = Times {
        keep_alive_idle: Duration::from_secs(1),
        keep_alive_interval: Duration::from_secs(1),
        keep_alive_probes: 2,
        user_timeout: Duration::from_secs(3),
        ..Times::default()
    };
    let site = Site::with(305, Config::new("", LOOPBACK, times), &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    // As long as the peer answers, silence is nothing.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(client.ask("DELE 1").await, "+OK message 1 marked");
    assert_eq!(site.rig.shard().sessions(), 1);
    let down = ["link", "set", "lo", "down"];
    assert!(
        std::process::Command::new("ip")
            .args(down)
            .status()
            .unwrap()
            .success()
    );
    crate::net::until("the session is over", || site.rig.shard().sessions() == 0).await;
    assert_eq!(site.rig.shard().totals().messages, 1);
}
