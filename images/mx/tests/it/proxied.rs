//! Behind a balancer that speaks the PROXY protocol the client is whoever the balancer says.

use wire::proxy_header::header;

use crate::harness::{Client, World};

#[tokio::test]
async fn the_clients_address_stands_in_received() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = Client::connect(world.smtp_proxied).await;
    let (from, to) = ("203.0.113.9:4711".parse().unwrap(), world.smtp_proxied);
    client.send(header(from, to)).await;
    client.expect("220 ").await;
    client.ask("EHLO client.example", "250 ").await;
    let message = "Subject: x\r\n\r\nx\r\n";
    let reply = client.mail(&["a@ours.example"], message).await;
    assert!(reply.ends_with("stored"), "{reply}");
    let text = world.shards[0].kept()[0].text();
    let start = "Received: from client.example ([203.0.113.9])\r\n";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn one_client_behind_the_balancer_cannot_take_all() {
    let world = World::with(|config| config.limits.max_per_address = 1).await;
    let mut sessions = Vec::new();
    for (from, reply) in [
        ("203.0.113.9:1", "220 "),
        ("203.0.113.10:1", "220 "),
        ("203.0.113.9:2", "421 "),
    ] {
        let mut client = Client::connect(world.smtp_proxied).await;
        let to = world.smtp_proxied;
        client.send(header(from.parse().unwrap(), to)).await;
        client.expect(reply).await;
        sessions.push(client);
    }
}

/// Or anybody could take anybody's address.
#[tokio::test]
async fn without_a_header_nothing_is_said() {
    let world = World::new().await;
    let mut client = Client::connect(world.smtp_proxied).await;
    client.send("EHLO client.example\r\n").await;
    assert_eq!(client.reply().await, None);
    let labels = ["smtp-proxied", "header"];
    assert_eq!(world.metric("connections_refused_total", &labels), 1);
}
