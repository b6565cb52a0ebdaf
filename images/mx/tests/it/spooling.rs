//! What a shard does not have when the client wants its answer.

use std::time::Duration;

use palomar_mx::spool::{EntryId, State};

use crate::harness::{Mood, World};

const MESSAGE: &str = "Message-ID: <1@client.example>\r\n\r\nbody\r\n";

fn impatient(config: &mut palomar_mx::Config) {
    config.timeouts.spool_after = Duration::from_millis(300);
}

#[tokio::test]
async fn what_a_shard_refuses_for_now_is_queued_and_delivered_later() {
    let world = World::new().await;
    let slow = world.account("slow@ours.example", 0);
    world.account("quick@ours.example", 1);
    world.shards[0].set_mood(slow, Mood::Retry);
    let mut client = world.client().await;
    let reply = client
        .mail(&["slow@ours.example", "quick@ours.example"], MESSAGE)
        .await;
    assert!(
        reply.starts_with("250 2.0.0 id=") && reply.ends_with("queued"),
        "{reply}"
    );
    assert_eq!(world.shards[1].kept().len(), 1);
    assert_eq!(world.spool().counts().entries, 1);
    world.shards[0].set_mood(slow, Mood::Stores);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 1)
        .await;
    let [first, second] = [&world.shards[0].kept()[0], &world.shards[1].kept()[0]];
    assert_eq!(
        (&first.body, &first.delivery),
        (&second.body, &second.delivery)
    );
    assert!(
        first
            .prefix
            .ends_with("Delivered-To: slow@ours.example\r\n")
    );
    world
        .until("empty", |world| world.spool().counts().entries == 0)
        .await;
}

#[tokio::test]
async fn a_shard_that_hangs_does_not_keep_the_client() {
    let world = World::with(impatient).await;
    let hanging = world.account("a@ours.example", 0);
    world.shards[0].set_mood(hanging, Mood::Hangs);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
}

#[tokio::test]
async fn the_spool_outlives_the_process() {
    let mut world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    client.ask("QUIT", "221").await;
    world.restart().await;
    assert_eq!(world.spool().counts().entries, 1);
    world.shards[0].set_mood(account, Mood::Stores);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 1)
        .await;
    // The sender never saw our 250 and sends again.
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("duplicate"), "{reply}");
}

#[tokio::test]
async fn spooled_mail_follows_its_account() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    client.mail(&["a@ours.example"], MESSAGE).await;
    world
        .directory
        .place(account, "a@ours.example", &world.shards[1], 2);
    world
        .until("delivered", |world| world.shards[1].kept().len() == 1)
        .await;
    world
        .until("empty", |world| world.spool().counts().entries == 0)
        .await;
    assert_eq!(world.shards[0].kept().len(), 0);
}

#[tokio::test]
async fn mail_for_a_removed_account_is_a_dead_letter() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<sender@client.example>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    world.directory.remove(account);
    world.shards[0].set_mood(account, Mood::Moved(2));
    client.ask("DATA", "354").await;
    client.send(format!("{MESSAGE}.\r\n")).await;
    let reply = client.expect("250 2.0.0 id=").await;
    assert!(reply.ends_with("queued"), "{reply}");
    world
        .until("dead", |world| world.spool().counts().dead == 1)
        .await;
    let entry = world.spool().list(EntryId(0), 1, |_| true).remove(0);
    assert_eq!(
        entry.targets[0].state,
        State::Dead("the account is removed".into())
    );
}

#[tokio::test]
async fn known_recipients_are_served_without_a_directory() {
    let world = World::new().await;
    world.account("known@ours.example", 0);
    world.account("other@ours.example", 0);
    let mut client = world.client().await;
    client.mail(&["known@ours.example"], MESSAGE).await;
    world.directory.vanish(true);
    let reply = client
        .mail(&["known@ours.example"], "Subject: second\r\n\r\n")
        .await;
    assert!(reply.ends_with("queued"), "{reply}");
    client.ask("MAIL FROM:<>", "250").await;
    client
        .ask("RCPT TO:<other@ours.example>", "451 4.4.3")
        .await;
    let mut lmtp = world.lmtp_client().await;
    lmtp.ask("MAIL FROM:<>", "250").await;
    lmtp.ask("RCPT TO:<known@ours.example>", "451 4.4.3").await;
    assert_eq!(world.shards[0].kept().len(), 1);
    world.directory.vanish(false);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 2)
        .await;
}

#[tokio::test]
async fn a_full_spool_is_temporary() {
    let world = World::with(|config| config.spool.max_entries = 0).await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.starts_with("451 4.3.0 id="), "{reply}");
}
