//! Clients that want to hold or exhaust something: each is bounded, and the others are served.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Client, PATIENCE, World};

async fn still_serves(world: &World) {
    let mut client = world.client().await;
    let reply = client
        .mail(&["a@ours.example"], "Subject: still here\r\n\r\n")
        .await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
}

/// Clients that say nothing fill the house: the next is told so, and counted; when one is shown
/// out there is room again.
#[tokio::test]
async fn silent_clients_at_the_cap() {
    let world = World::with(|config| {
        config.limits.max_connections = 20;
        config.timeouts.command = Duration::from_secs(3);
    })
    .await;
    world.account("a@ours.example", 0);
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(world.smtp).await;
        client.expect("220").await;
        silent.push(client);
    }
    for _ in 0..30 {
        let mut refused = Client::connect(world.smtp).await;
        let reply = refused.expect("421 4.3.2").await;
        assert!(reply.contains("too many connections"), "{reply}");
        refused.expect_end().await;
    }
    let refused = world.metric("connections_refused_total", &["smtp", "full"]);
    assert_eq!(refused, 30);
    for client in &mut silent {
        client.expect("421 4.4.2").await;
    }
    drop(silent);
    world
        .until("they are gone", |world| {
            world.metric("connections", &["smtp"]) == 0
        })
        .await;
    still_serves(&world).await;
}

#[tokio::test]
async fn one_address_cannot_take_all() {
    let world = World::with(|config| config.limits.max_per_address = 2).await;
    let _held = [world.client().await, world.client().await];
    let mut third = Client::connect(world.smtp).await;
    let reply = third.expect("421 4.3.2").await;
    assert!(reply.contains("your address"), "{reply}");
    let refused = world.metric("connections_refused_total", &["smtp", "address"]);
    assert_eq!(refused, 1);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Client::over(socket.connect(world.smtp).await.unwrap());
    other.expect("220").await;
}

/// It asks and asks and takes no answer: what is queued for it is bounded, and so is our patience.
#[tokio::test]
async fn a_client_that_never_reads() {
    let world = World::with(|config| config.timeouts.write = Duration::from_millis(300)).await;
    world.account("a@ours.example", 0);
    let mut stream = TcpStream::connect(world.smtp).await.unwrap();
    stream.write_all(b"EHLO c\r\n").await.unwrap();
    let questions = b"EHLO c\r\n".repeat(4096);
    let flood = async { while stream.write_all(&questions).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood)
        .await
        .expect("it is never given up");
    world
        .until("its session is over", |world| {
            world.metric("sessions", &[]) == 0
        })
        .await;
    still_serves(&world).await;
}

/// A handshake that begins and does not end, on STARTTLS and on LMTP over TLS.
#[tokio::test]
async fn half_open_handshakes_are_given_up() {
    let world = World::with(|config| {
        config.timeouts.handshake = Duration::from_millis(200);
        config.lmtp_client_ca = Some(config.identity.join("ca.pem"));
    })
    .await;
    world.account("a@ours.example", 0);
    let mut started = Client::connect(world.smtp).await;
    started.expect("220").await;
    started.ask("STARTTLS", "220").await;
    // The head of a record whose rest never comes.
    started.send([22, 3, 1, 2, 0, 1]).await;
    let mut lmtp = TcpStream::connect(world.lmtp).await.unwrap();
    lmtp.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(started.reply_octets().await, b"");
    let read = tokio::time::timeout(PATIENCE, lmtp.read(&mut [0; 64])).await;
    assert_eq!(read.expect("never given up").unwrap_or(0), 0);
    still_serves(&world).await;
}

/// Chunks of any announced size cost nothing but the line, or their octets.
#[tokio::test]
async fn huge_chunks() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    for size in [
        "400001",
        "99999999999",
        "18446744073709551615",
        "99999999999999999999",
    ] {
        let mut client = world.client().await;
        client.ask("MAIL FROM:<>", "250").await;
        client.ask("RCPT TO:<a@ours.example>", "250").await;
        client.ask(&format!("BDAT {size}"), "552 5.3.4").await;
        client.expect_end().await;
    }
    // Many that are just not too large: each is read away, until it is enough.
    let mut client = world.client().await;
    let chunk = format!("BDAT 100001\r\n{}", "MAIL FROM:<>\r\n".repeat(8000));
    let chunk = &chunk[.."BDAT 100001\r\n".len() + 100_001];
    for _ in 0..20 {
        client.send(chunk).await;
        client.expect("503").await;
    }
    client.send(chunk).await;
    client.expect("421 4.7.0").await;
    client.expect_end().await;
    // Their sum does not wrap around.
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    client.send("BDAT 1\r\nx").await;
    client.expect("250 2.0.0").await;
    client.ask("BDAT 18446744073709551615 LAST", "552").await;
    client.expect_end().await;
    still_serves(&world).await;
}

/// Garbage in one piece, in the clear and in a body, and a line of a megabyte in every state.
#[tokio::test]
async fn garbage_and_long_lines() {
    let world = World::with(|config| config.limits.max_errors = 5).await;
    world.account("a@ours.example", 0);
    let garbage: Vec<u8> = (0..1_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let stream = TcpStream::connect(world.smtp).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    // It is closed in the middle of this.
    let sending = tokio::spawn(async move { write.write_all(&garbage).await });
    let mut said = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, read.read_to_end(&mut said));
    // A reset is an end too.
    let _ended = reading.await.expect("never closed");
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("500 5.5").count(), 5, "{said}");
    assert!(said.ends_with("421 4.7.0 too many errors\r\n"), "{said}");
    sending.abort();
    for start in [
        "",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@ours.example>\r\n",
    ] {
        let mut client = world.client().await;
        client.send(start).await;
        for _ in start.lines() {
            client.expect("250").await;
        }
        client.send("MAIL FROM:<").await;
        client.send("a".repeat(1 << 20)).await;
        client.ask("@b.example>", "500 5.5.2").await;
        client.ask("RSET", "250").await;
    }
    // A header line of a megabyte is content like any other; its name is looked at in pieces.
    let world = World::with(|config| config.limits.max_message_size = 2 << 20).await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let reply = client
        .mail(
            &["a@ours.example"],
            &format!("{}\r\n\r\n", "X".repeat(1 << 20)),
        )
        .await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    still_serves(&world).await;
}

/// A body that drips holds its place no longer than its session may last.
#[tokio::test]
async fn a_dripping_client_is_shown_out() {
    let world = World::with(|config| {
        config.limits.max_connections = 1;
        config.timeouts.session = Duration::from_millis(500);
    })
    .await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    client.ask("DATA", "354").await;
    let reply = client.drip_until_reply().await;
    assert!(reply.starts_with("421 4.4.2"), "{reply}");
    world
        .until("its place is free", |world| {
            world.metric("connections", &["smtp"]) == 0
        })
        .await;
}
