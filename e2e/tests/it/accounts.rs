//! Removing an account stops mail and login at once and keeps the mail; an address made again
//! never sees old mail.

use e2e::ledger::Answer;
use serde_json::Value;

use crate::support::{ANA, PASSWORD, TestSite};

const REMOVE: [&str; 4] = ["account", "remove", ANA, "--yes"];

#[tokio::test]
async fn a_removed_account_gets_and_serves_nothing_until_restored() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let removed = site.ask(&REMOVE, "").unwrap();
    assert_eq!(removed["state"], "removed");
    let list = site.ask(&["account", "list", "--removed"], "").unwrap();
    assert_eq!((&list[0]["address"], &list[1]), (&ANA.into(), &Value::Null));
    let (answer, reply) = site.send(2, ANA).await.unwrap();
    assert_eq!((answer, reply.code), (Answer::Refused, 550), "{reply:?}");
    let refused = site.login(ANA).await.err().unwrap().to_string();
    assert!(refused.contains("PASS"), "{refused}");
    let restored = site.ask(&["account", "restore", ANA], "").unwrap();
    assert_eq!(restored["state"], "active");
    site.deliver([3], ANA).await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1, 3]);
}

#[tokio::test]
async fn removal_ends_live_sessions() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let mut client = site.login(ANA).await.unwrap();
    client.ask("STAT").await.unwrap();
    site.ask(&REMOVE, "").unwrap();
    // The session may answer what is under way; then it ends. NOOP without end would go on.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while client.ask("NOOP").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    ended.await.expect("the session goes on");
}

#[tokio::test]
async fn an_address_made_again_starts_empty_and_the_old_mail_comes_back_as_another() {
    let mut site = TestSite::with_ana().await.unwrap();
    site.deliver([1, 2], ANA).await.unwrap();
    site.ask(&REMOVE, "").unwrap();
    site.add_account(ANA, PASSWORD).unwrap();
    assert!(site.numbers(ANA).await.unwrap().is_empty());
    let refused = site.buzonera(&["account", "restore", ANA], "").unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--as"), "{said}");
    site.kill().unwrap();
    site.start_again().await.unwrap();
    assert!(site.numbers(ANA).await.unwrap().is_empty());
    let old = "ana.old@example.org";
    site.ask(&["account", "restore", ANA, "--as", old], "")
        .unwrap();
    assert_eq!(site.numbers(old).await.unwrap(), [1, 2]);
    assert!(site.numbers(ANA).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_purged_account_is_gone() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    site.ask(&["account", "remove", ANA, "--yes", "--purge"], "")
        .unwrap();
    let restore = site.buzonera(&["account", "restore", ANA], "").unwrap();
    assert!(!restore.status.success());
    site.add_account(ANA, PASSWORD).unwrap();
    assert!(site.numbers(ANA).await.unwrap().is_empty());
}
