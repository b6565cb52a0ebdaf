//! Malformed and hostile input: what each gets, and that the server still serves.

use crate::harness::{Client, World};

/// Sent after EHLO; the answers in order, and whether the session goes on.
const TABLE: &[(&[u8], &[&str], bool)] = &[
    (b"NOOP\n", &["500 5.5.2"], true),
    (b"NO\rOP\r\n", &["500 5.5.2"], true),
    (b"\r\n", &["500 5.5.1"], true),
    (b"\0\r\n", &["500 5.5.2"], true),
    (b"\xff\xfe\xfd\r\n", &["500 5.5.2"], true),
    (b"NOOP\0\r\n", &["500 5.5.2"], true),
    (b" NOOP\r\n", &["500 5.5.1"], true),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        &["500 5.5.1", "500 5.5.1"],
        true,
    ),
    (b"MAIL FROM:<a@b.example\r\n", &["501 5.1.7"], true),
    (b"MAIL FROM:<a@b@c.example>\r\n", &["501 5.1.7"], true),
    (b"MAIL FROM:<\"a\r\"@b.example>\r\n", &["500 5.5.2"], true),
    (b"MAIL FROM:<a@b.example> SIZE=-1\r\n", &["501 5.5.4"], true),
    (
        b"MAIL FROM:<a@b.example> SIZE=99999999999999999999999\r\n",
        &["501 5.5.4"],
        true,
    ),
    (
        b"MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n",
        &["501 5.5.4"],
        true,
    ),
    (
        b"MAIL FROM:<a@b.example> RET=HDRS\r\n",
        &["555 5.5.4"],
        true,
    ),
    (
        b"MAIL FROM:<j\xc3\xb6rg@b.example>\r\n",
        &["500 5.5.2"],
        true,
    ),
    (b"RCPT TO:<a@ours.example>\r\n", &["503 5.5.1"], true),
    (b"DATA\r\n", &["503 5.5.1"], true),
    (b"DATA now\r\n", &["501 5.5.4"], true),
    (b"EHLO\r\n", &["501 5.5.4"], true),
    (b"EHLO (evil)\x07\r\n", &["500 5.5.2"], true),
    (b"BDAT 3\r\nabcNOOP\r\n", &["503 5.5.1", "250 2.0.0"], true),
    (b"BDAT 18446744073709551615\r\n", &["552 5.3.4"], false),
    (b"BDAT -1\r\n", &["501 5.5.4"], false),
    (b"BDAT\r\n", &["501 5.5.4"], false),
    (
        b"MAIL FROM:<>\r\nMAIL FROM:<>\r\n",
        &["250 2.1.0", "503 5.5.1"],
        true,
    ),
    (
        b"MAIL FROM:<>\r\nRCPT TO:<>\r\n",
        &["250 2.1.0", "501 5.1.3"],
        true,
    ),
    (
        b"MAIL FROM:<>\r\nRCPT TO:<@:a@b>\r\n",
        &["250 2.1.0", "501 5.1.3"],
        true,
    ),
    (
        b"MAIL FROM:<>\r\nRCPT TO:<a@ours.example> X\r\n",
        &["250 2.1.0", "555 5.5.4"],
        true,
    ),
    (
        b"MAIL FROM:<>\r\nSTARTTLS\r\n",
        &["250 2.1.0", "503 5.5.1"],
        true,
    ),
    (b"STARTTLS now\r\n", &["501 5.5.4"], true),
    (b"VRFY\r\n", &["501 5.5.2"], true),
];

#[tokio::test]
async fn every_row_gets_its_answer() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    for (sent, answers, goes_on) in TABLE {
        let shown = sent.escape_ascii();
        let mut client = world.client().await;
        client.send(sent).await;
        for answer in *answers {
            let reply = client
                .reply()
                .await
                .unwrap_or_else(|| panic!("{shown}: closed"));
            assert!(
                reply.starts_with(answer),
                "{shown}: {reply} instead of {answer}"
            );
        }
        if *goes_on {
            client.ask("NOOP", "250 2.0.0").await;
        } else {
            client.expect_end().await;
        }
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn long_lines_and_floods() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let long = vec![b'A'; 1 << 20];
    client.send(&long).await;
    client.send("\r\nNOOP\r\n").await;
    client.expect("500 5.5.2").await;
    client.expect("250").await;
    let mut silent = Client::connect(world.smtp).await;
    silent
        .send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\n'])
        .await;
    silent.expect("220").await;
    silent.expect("500 5.5.2").await;
    drop(Client::connect(world.smtp).await);
    let mut flood = world.client().await;
    flood.send("NOOP\r\n".repeat(20_000)).await;
    for _ in 0..20_000 {
        flood.expect("250").await;
    }
    still_serves(&world).await;
}

async fn still_serves(world: &World) {
    let mut client = world.client().await;
    let reply = client
        .mail(&["a@ours.example"], "Subject: still here\r\n\r\n")
        .await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
}
