//! What becomes of a message at its shards.

use crate::harness::{Mood, World};

const MESSAGE: &str = "Message-ID: <1@client.example>\r\n\r\nbody\r\n";

#[tokio::test]
async fn one_copy_per_account_and_one_call_per_shard() {
    let world = World::new().await;
    let a = world.account("a@ours.example", 0);
    let b = world.account("b@ours.example", 0);
    let c = world.account("c@ours.example", 1);
    world.directory.lead("all@ours.example", &[a, b, c]);
    world.directory.lead("a+x@ours.example", &[a]);
    let mut client = world.client().await;
    let to = ["a@ours.example", "all@ours.example", "a+x@ours.example"];
    let reply = client.mail(&to, MESSAGE).await;
    assert!(reply.ends_with("stored"), "{reply}");
    let [first, second] = &world.shards;
    assert_eq!((first.kept().len(), first.calls()), (2, 1));
    assert_eq!((second.kept().len(), second.calls()), (1, 1));
    assert!(
        second.kept()[0]
            .prefix
            .ends_with("Delivered-To: all@ours.example\r\n")
    );
    let reply = client.mail(&to, MESSAGE).await;
    assert!(reply.ends_with("duplicate"), "{reply}");
    assert_eq!(first.kept().len(), 2);
}

#[tokio::test]
async fn moved_accounts_are_followed() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<sender@client.example>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    world.shards[0].set_mood(account, Mood::Moved(2));
    world
        .directory
        .place(account, "a@ours.example", &world.shards[1], 2);
    client.ask("DATA", "354").await;
    client.send(format!("{MESSAGE}.\r\n")).await;
    let reply = client.expect("250 2.0.0").await;
    assert!(reply.ends_with("stored"), "{reply}");
    assert_eq!(world.shards[1].kept().len(), 1);
}

#[tokio::test]
async fn nobody_follows_for_ever() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Moved(7));
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    // To the spool, after four calls: the first and three follows.
    assert!(reply.ends_with("queued"), "{reply}");
    assert!(world.shards[0].calls() >= 4);
}
