//! A 250 means durable: mail survives `kill -9` and restarts, with the same unique ids.

use crate::support::{ANA, TestSite};

#[tokio::test]
async fn mail_survives_kill_and_restart() {
    let mut site = TestSite::with_ana().await.unwrap();
    site.deliver(1..=20, ANA).await.unwrap();
    let before = site.mailbox(ANA).await.unwrap();
    assert_eq!(before.len(), 20);
    site.kill().unwrap();
    site.start_again().await.unwrap();
    assert_eq!(site.mailbox(ANA).await.unwrap(), before);
    site.stop().await.unwrap();
    site.start_again().await.unwrap();
    site.deliver(21..=21, ANA).await.unwrap();
    let after = site.mailbox(ANA).await.unwrap();
    assert_eq!(after[..20], before);
    assert_eq!(after[20].1, 21);
}

#[tokio::test]
async fn what_quit_deleted_stays_deleted() {
    let mut site = TestSite::with_ana().await.unwrap();
    site.deliver(1..=3, ANA).await.unwrap();
    let mut client = site.login(ANA).await.unwrap();
    client.ask("DELE 2").await.unwrap();
    client.quit().await.unwrap();
    site.kill().unwrap();
    site.start_again().await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1, 3]);
}
