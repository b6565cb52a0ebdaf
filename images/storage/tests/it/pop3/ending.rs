//! What ends a session from the shard's side is said as the answer to the next command.

use std::time::Duration;

use buzonera_storage::account::access::Place;
use buzonera_storage::records::proto::Holding;
use wire::ids::Incarnation;

use crate::pop3::site::{OWNER, Site, auth, config};
use crate::rig::account;

const ENDED: &str = "-ERR [SYS/TEMP] this session has ended, log in again";

#[tokio::test]
async fn a_removed_account() {
    let mut site = Site::new(401, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    site.rig.assign(account(OWNER), 2, Place::Removed);
    assert_eq!(client.line().await, ENDED);
    assert_eq!(client.line().await, "closed");
}

#[tokio::test]
async fn a_moved_account_and_its_new_epoch() {
    let site = Site::new(402, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    client.ask("DELE 1").await;
    site.rig.become_(account(OWNER), Holding::Released, 2).await;
    // The client's QUIT, said at the same time, gets this for its answer.
    assert_eq!(client.line().await, ENDED);
    assert_eq!(client.line().await, "closed");
    let mut client = site.proxy().await;
    let answer = client.ask(&auth(account(OWNER), 1)).await;
    assert_eq!(answer, "-ERR [MOVED/2] the account is elsewhere");
}

#[tokio::test]
async fn a_superseded_shard_answers_nothing_more() {
    let site = Site::new(403, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    site.rig.shard().lease().clone().superseded(Incarnation(9));
    assert_eq!(client.ask("RETR 1").await, ENDED);
}

#[tokio::test]
async fn a_closing_shard_shows_out_whoever_is_quiet() {
    let site = Site::new(404, &[b"one\r\n"]).await;
    let mut fresh = site.proxy().await;
    let mut client = site.opened().await;
    site.shutdown.trigger();
    // Before login there is nothing to lose.
    assert_eq!(fresh.line().await, ENDED);
    assert_eq!(client.ask("NOOP").await, "+OK");
    assert_eq!(client.line().await, ENDED);
    drop((fresh, client));
    site.shutdown.drained().await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_deadline() {
    let large = vec![b'x'; 16 << 20];
    let drain = Duration::from_millis(50);
    let site = Site::draining(406, config(), &[&large], drain).await;
    let mut client = site.opened().await;
    assert!(client.ask("RETR 1").await.starts_with("+OK "));
    site.shutdown.trigger();
    let cut = site.shutdown.drained().await.unwrap_err();
    assert_eq!(cut.cut.get("POP3 sessions"), Some(&1), "{cut}");
    // A message cut short does not look complete.
    assert!(!client.rest().await.ends_with(".\r\n"));
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let mut config = config();
    config.times.login = Duration::from_millis(50);
    let site = Site::with(405, config, &[]).await;
    let mut client = site.proxy().await;
    assert_eq!(client.line().await, "closed");
}
