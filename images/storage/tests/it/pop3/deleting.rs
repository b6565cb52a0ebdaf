//! DELE and QUIT: deleted is deleted, and what was not said to be is there.

use std::time::Duration;

use buzonera_storage::records::proto::Holding;
use tokio::time::timeout;

use crate::pop3::site::{OWNER, Site};
use crate::rig::{UID_VALIDITY, account, as_read, read_all};

#[tokio::test]
async fn quit_waits_for_the_disk() {
    let mut site = Site::new(201, &[b"one\r\n", b"two\r\n"]).await;
    let mut client = site.opened().await;
    client.ask("DELE 1").await;
    site.rig.sim.hold_syncs();
    client.say("QUIT\r\n").await;
    let early = timeout(Duration::from_millis(100), client.line()).await;
    assert!(early.is_err(), "said before the sync");
    site.rig.sim.release_syncs();
    assert_eq!(client.line().await, "+OK bye");
    // And the disk has it, whatever happens next.
    site.rig.power_cut();
    site.shutdown.trigger();
    site.rig.is_let_go().await;
    site.rig.open();
    let owner = account(OWNER);
    assert_eq!(
        read_all(site.rig.shard(), owner).await,
        [(2, as_read(owner, b"two\r\n"))]
    );
}

#[tokio::test]
async fn numbers_stay_and_listings_leave_out_what_is_marked() {
    let site = Site::new(205, &[b"one\r\n", b"two\r\n", b"three\r\n"]).await;
    let mut client = site.opened().await;
    client.ask("DELE 2").await;
    let (first, ids) = client.ask_many("UIDL").await;
    assert_eq!(first, "+OK");
    assert_eq!(
        ids,
        format!("1 {UID_VALIDITY}.1\r\n3 {UID_VALIDITY}.3\r\n.\r\n")
    );
    let (_, sizes) = client.ask_many("LIST").await;
    let size = |body| as_read(account(OWNER), body).len();
    let (one, three) = (size(b"one\r\n"), size(b"three\r\n"));
    assert_eq!(sizes, format!("1 {one}\r\n3 {three}\r\n.\r\n"));
    let answer = client.ask("RETR 2").await;
    assert_eq!(answer, "-ERR message 2 is already deleted");
    client.ask("RSET").await;
    let (_, sizes) = client.ask_many("LIST").await;
    assert_eq!(sizes.lines().count(), 4);
}

#[tokio::test]
async fn leaving_without_quit_deletes_nothing() {
    let site = Site::new(202, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    assert_eq!(client.ask("DELE 1").await, "+OK message 1 marked");
    drop(client);
    crate::pop3::locking::free(&site).await;
    let mut client = site.opened().await;
    assert!(client.ask("STAT").await.starts_with("+OK 1 "));
}

#[tokio::test]
async fn a_quit_that_cannot_be_kept_deletes_nothing() {
    let site = Site::new(203, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    client.ask("DELE 1").await;
    // A move has begun its last phase: this shard takes no more writes.
    site.rig.become_(account(OWNER), Holding::Fenced, 1).await;
    let answer = client.ask("QUIT").await;
    assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{answer}");
    assert_eq!(client.line().await, "closed");
    assert_eq!(site.rig.shard().totals().messages, 1);
}

#[tokio::test]
async fn a_failed_disk_is_no_success() {
    let site = Site::new(204, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    client.ask("DELE 1").await;
    site.rig.sim.fail_next_sync(segments::sim::Fault::Broken);
    let answer = client.ask("QUIT").await;
    assert!(
        answer.starts_with("-ERR [SYS/TEMP] ") || answer == "closed",
        "{answer}"
    );
}
