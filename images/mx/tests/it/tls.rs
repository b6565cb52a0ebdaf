//! STARTTLS.

use crate::harness::{Client, World};

#[tokio::test]
async fn mail_over_tls() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.start_tls("").await;
    client.ask("MAIL FROM:<>", "503 5.5.1").await;
    let reply = client.ask("EHLO client.example", "250 ").await;
    assert!(!reply.contains("STARTTLS"));
    client.ask("STARTTLS", "503 5.5.1").await;
    let reply = client
        .mail(&["a@ours.example"], "Subject: a\r\n\r\nb\r\n")
        .await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert!(world.shards[0].kept()[0].text().contains("with ESMTPS id"));
}

#[tokio::test]
async fn words_in_front_of_the_encrypted_ones_are_dropped() {
    let world = World::new().await;
    let mut client = world
        .start_tls("EHLO evil\r\nMAIL FROM:<injected@x.example>\r\n")
        .await;
    // Had the injected commands been kept, their replies would come first.
    client.ask("RSET", "250 2.0.0").await;
    client.ask("MAIL FROM:<>", "503 5.5.1").await;
}

#[tokio::test]
async fn without_a_certificate_it_is_not_offered() {
    let world = World::with(|config| config.tls = None).await;
    let mut client = Client::connect(world.smtp).await;
    client.expect("220 ").await;
    let reply = client.ask("EHLO c", "250 ").await;
    assert!(!reply.contains("STARTTLS"));
    client.ask("STARTTLS", "502 5.5.1").await;
}
