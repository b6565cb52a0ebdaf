//! Commands over a real socket.

use crate::harness::{Client, World};

#[tokio::test]
async fn the_greeting_and_the_extensions() {
    let world = World::new().await;
    let mut client = Client::connect(world.smtp).await;
    client.expect("220 mx.example ESMTP").await;
    let reply = client.ask("EHLO [192.0.2.1]", "250 ").await;
    for extension in [
        "PIPELINING",
        "SIZE 100000",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "STARTTLS",
    ] {
        let line = |line: &str| line.get(4..) == Some(extension);
        assert!(reply.split('\n').any(line), "{extension} in {reply}");
    }
    client.ask("HELO me", "250 mx.example").await;
    client.ask("VRFY user", "252 2.5.2").await;
    client.ask("EXPN list", "502 5.5.1").await;
    client.ask("HELP", "214 2.0.0").await;
    client.ask("NOOP", "250 2.0.0").await;
    client.ask("LHLO me", "500 5.5.1").await;
    client.ask("QUIT", "221 2.0.0").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_whole_session_in_one_write() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = Client::connect(world.smtp).await;
    client
        .send(
            "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.example>\r\nRCPT TO:<b@ours.example>\r\n\
             NOOP\r\nDATA\r\nSubject: a\r\n\r\nb\r\n.\r\nMAIL FROM:<x@y.example>\r\nRSET\r\nQUIT\r\n",
        )
        .await;
    for start in [
        "220 ",
        "250 ",
        "250 2.1.0",
        "250 2.1.5",
        "550 5.1.1",
        "250 2.0.0",
        "354 ",
        "250 2.0.0 id=",
    ] {
        client.expect(start).await;
    }
    for start in ["250 2.1.0", "250 2.0.0", "221 "] {
        client.expect(start).await;
    }
    client.expect_end().await;
    assert_eq!(world.shards[0].kept().len(), 1);
}

#[tokio::test]
async fn recipients_in_a_row_are_one_question() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let recipients = "RCPT TO:<a@ours.example>\r\n".repeat(60);
    client
        .send(format!("MAIL FROM:<>\r\n{recipients}RSET\r\n"))
        .await;
    client.expect("250 2.1.0").await;
    for _ in 0..60 {
        client.expect("250 2.1.5").await;
    }
    client.expect("250 2.0.0").await;
    let batches = world.directory.batches();
    assert_eq!(batches.iter().sum::<usize>(), 60);
    assert!(batches.len() < 10, "{batches:?}");
}
