//! RCPT: who is known, who is not, and no relaying.

use crate::harness::World;

#[tokio::test]
async fn no_relaying_in_any_disguise() {
    let world = World::with(|config| config.limits.max_unknown = 100).await;
    world.account("user@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<sender@client.example>", "250").await;
    for (path, answer) in [
        ("<user@ours.example>", "250 2.1.5"),
        ("<USER@OURS.EXAMPLE>", "250 2.1.5"),
        ("<\"user\"@ours.example>", "250 2.1.5"),
        ("<@other.example:user@ours.example>", "250 2.1.5"),
        ("<user@other.example>", "550 5.7.1"),
        ("<@ours.example:user@other.example>", "550 5.7.1"),
        (
            "<@ours.example,@other.example:user@other.example>",
            "550 5.7.1",
        ),
        ("<user%other.example@ours.example>", "550 5.1.1"),
        ("<other.example!user@ours.example>", "550 5.1.1"),
        ("<\"user@other.example\"@ours.example>", "550 5.1.1"),
        ("<\"user@ours.example\"@other.example>", "550 5.7.1"),
        ("<user@[127.0.0.1]>", "550 5.7.1"),
        ("<user@[IPv6:::1]>", "550 5.7.1"),
        ("<user@ours.example@other.example>", "501 5.1.3"),
        ("<user@other.example@ours.example>", "501 5.1.3"),
        ("<user>", "501 5.1.3"),
        ("<>", "501 5.1.3"),
        ("user@ours.example", "501 5.1.3"),
    ] {
        client.ask(&format!("RCPT TO:{path}"), answer).await;
    }
}

#[tokio::test]
async fn postmaster_needs_no_domain_and_bounces_need_no_sender() {
    let world = World::new().await;
    let account = world.account("admin@ours.example", 0);
    world.directory.lead("postmaster", &[account]);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250 2.1.0").await;
    client.ask("RCPT TO:<Postmaster>", "250 2.1.5").await;
    client.ask("DATA", "354").await;
    client.send("Subject: a\r\n\r\nb\r\n.\r\n").await;
    client.expect("250 2.0.0 id=").await;
    let kept = &world.shards[0].kept()[0];
    assert_eq!(
        kept.prefix,
        "Return-Path: <>\r\nDelivered-To: postmaster\r\n"
    );
}

#[tokio::test]
async fn quota_and_uncertainty_are_temporary() {
    let world = World::new().await;
    let full = world.account("full@ours.example", 0);
    let other = world.account("other@ours.example", 0);
    world.directory.fill(full);
    world.directory.lead("both@ours.example", &[full, other]);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<full@ours.example>", "452 4.2.2").await;
    client.ask("RCPT TO:<both@ours.example>", "250 2.1.5").await;
    world.directory.be_unsure(true);
    client
        .ask("RCPT TO:<other@ours.example>", "451 4.4.3")
        .await;
    client
        .ask("RCPT TO:<nobody@ours.example>", "451 4.4.3")
        .await;
}

#[tokio::test]
async fn parameters_that_were_not_announced() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.ask("MAIL FROM:<> SMTPUTF8", "555 5.5.4").await;
    client.ask("MAIL FROM:<> SIZE=1 BODY=8BITMIME", "250").await;
    client
        .ask("RCPT TO:<a@ours.example> NOTIFY=NEVER", "555 5.5.4")
        .await;
}
