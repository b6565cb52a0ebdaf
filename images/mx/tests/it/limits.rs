//! Bounds and their polite refusals.

use std::time::Duration;

use crate::harness::{Client, World};

#[tokio::test]
async fn too_many_connections() {
    let world = World::with(|config| config.limits.max_connections = 1).await;
    let mut first = world.client().await;
    let mut second = Client::connect(world.smtp).await;
    second.expect("421 4.3.2").await;
    second.expect_end().await;
    first.ask("NOOP", "250").await;
}

#[tokio::test]
async fn too_many_recipients() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    for _ in 0..100 {
        client.ask("RCPT TO:<a@ours.example>", "250").await;
    }
    client.ask("RCPT TO:<a@ours.example>", "452 4.5.3").await;
    client.ask("DATA", "354").await;
    client.send("x: y\r\n\r\n.\r\n").await;
    client.expect("250 2.0.0").await;
}

#[tokio::test]
async fn too_many_unknown_recipients() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    for _ in 0..4 {
        client
            .ask("RCPT TO:<nobody@ours.example>", "550 5.1.1")
            .await;
    }
    client
        .ask("RCPT TO:<nobody@ours.example>", "421 4.7.0")
        .await;
    client.expect_end().await;
}

#[tokio::test]
async fn too_many_errors() {
    let world = World::with(|config| config.limits.max_errors = 3).await;
    let mut client = world.client().await;
    for _ in 0..3 {
        client.ask("NONSENSE", "500 5.5.1").await;
    }
    client.ask("NONSENSE", "421 4.7.0").await;
    client.expect_end().await;
}

#[tokio::test]
async fn too_long_a_silence() {
    let world = World::with(|config| {
        config.timeouts.command = Duration::from_millis(50);
    })
    .await;
    let mut client = Client::connect(world.smtp).await;
    client.expect("220 ").await;
    client.expect("421 4.4.2").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_broken_body_leaves_nothing() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    for half in [
        "DATA\r\nSubject: a\r\n\r\nhalf a mess",
        "BDAT 14\r\nSubject: a\r\n\r\n",
        "BDAT 99 LAST\r\nSubject: a\r\n\r\nhalf a mess",
    ] {
        let mut client = world.client().await;
        client.ask("MAIL FROM:<>", "250").await;
        client.ask("RCPT TO:<a@ours.example>", "250").await;
        client.send(half).await;
        drop(client);
    }
    let mut other = world.client().await;
    let reply = other
        .mail(&["a@ours.example"], "Subject: whole\r\n\r\n")
        .await;
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(world.shards[0].kept().len(), 1);
    assert!(world.shards[0].kept()[0].text().contains("whole"));
}
