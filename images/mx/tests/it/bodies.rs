//! DATA and BDAT over a real socket: what ends a body, what spoils it, what is kept of it.

use crate::harness::World;

const MESSAGE: &str = "Message-ID: <1@client.example>\r\nSubject: a\r\n\r\n.dot\r\nend\r\n";

#[tokio::test]
async fn what_is_stored() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let spoofed = "Return-Path: <forged@x.example>\r\n folded\r\n";
    let stuffed = MESSAGE.replace("\r\n.dot", "\r\n..dot");
    let reply = client
        .mail(&["A@ours.example"], &format!("{spoofed}{stuffed}"))
        .await;
    let id = reply
        .split("id=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let kept = &world.shards[0].kept()[0];
    assert_eq!(kept.account, account);
    assert_eq!(
        kept.prefix,
        "Return-Path: <sender@client.example>\r\nDelivered-To: A@ours.example\r\n"
    );
    let text = kept.text();
    let start = format!(
        "Received: from client.example ([127.0.0.1])\r\n\tby mx.example with ESMTP id {id}\r\n\
         \tfor <A@ours.example>;\r\n\t"
    );
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with(&format!("+0000\r\n{MESSAGE}")), "{text}");
}

#[tokio::test]
async fn data_and_chunks_are_one_message() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let reply = client
        .mail(
            &["a@ours.example"],
            &MESSAGE.replace("\r\n.dot", "\r\n..dot"),
        )
        .await;
    assert!(reply.ends_with("stored"), "{reply}");
    // Without its last CRLF, in three chunks, the commands in between in one write.
    let (first, rest) = MESSAGE.trim_end().split_at(20);
    client
        .send(format!(
            "MAIL FROM:<sender@client.example> BODY=8BITMIME\r\nRCPT TO:<a@ours.example>\r\n\
             BDAT 20\r\n{first}BDAT {}\r\n{rest}BDAT 0 LAST\r\nNOOP\r\n",
            rest.len()
        ))
        .await;
    for start in ["250 2.1.0", "250 2.1.5", "250 2.0.0 20 octets", "250 2.0.0"] {
        client.expect(start).await;
    }
    let reply = client.expect("250 2.0.0 id=").await;
    assert!(reply.ends_with("duplicate"), "{reply}");
    client.expect("250 2.0.0").await;
    assert_eq!(world.shards[0].kept().len(), 1);
}

#[tokio::test]
async fn without_message_id_nothing_is_a_duplicate() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    for _ in 0..2 {
        let reply = client
            .mail(&["a@ours.example"], "Subject: same\r\n\r\nbody\r\n")
            .await;
        assert!(reply.ends_with("stored"), "{reply}");
    }
    assert_eq!(world.shards[0].kept().len(), 2);
}

#[tokio::test]
async fn nothing_is_smuggled() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    for ending in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\n\n.\n\n",
        "\r\n\0.\r\n",
    ] {
        let mut client = world.client().await;
        let inner = "MAIL FROM:<forged@x.example>\r\nRCPT TO:<a@ours.example>\r\nDATA\r\nforged";
        let message = format!("Subject: a\r\n\r\nb{ending}{inner}\r\n");
        let reply = client.mail(&["a@ours.example"], &message).await;
        assert!(reply.starts_with("550 5.6.0"), "{ending:?}: {reply}");
        client.ask("NOOP", "250").await;
    }
    assert_eq!(world.shards[0].kept().len(), 0);
}

#[tokio::test]
async fn refused_chunks_are_never_parsed() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let smuggled = "MAIL FROM:<forged@x.example>\r\n";
    let size = smuggled.len();
    // Without a transaction, without a recipient, after another refusal.
    client
        .send(format!("BDAT {size}\r\n{smuggled}NOOP\r\n"))
        .await;
    client.expect("503 5.5.1").await;
    client.expect("250").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.send(format!("BDAT {size} LAST\r\n{smuggled}")).await;
    client.expect("503 5.5.1").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    let large = "x".repeat(100_001);
    client
        .send(format!(
            "BDAT {}\r\n{large}BDAT {size} LAST\r\n{smuggled}",
            large.len()
        ))
        .await;
    client.expect("552 5.3.4").await;
    client.expect("503 5.5.1").await;
    client.ask("NOOP", "250").await;
    client.ask("BDAT 5 MAYBE", "501 5.5.4").await;
    client.expect_end().await;
}

#[tokio::test]
async fn sizes_are_kept() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<> SIZE=100001", "552 5.3.4").await;
    client
        .ask("MAIL FROM:<> SIZE=99999999999999999999", "552 5.3.4")
        .await;
    let line = format!("{}\r\n", "x".repeat(998));
    let reply = client.mail(&["a@ours.example"], &line.repeat(100)).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let reply = client
        .mail(&["a@ours.example"], &format!("{}x\r\n", line.repeat(100)))
        .await;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    client.ask("NOOP", "250").await;
    assert_eq!(world.shards[0].kept().len(), 1);
}

/// In one chunk and in two, by DATA too: exactly as large as allowed, and an octet more.
#[tokio::test]
async fn the_limit_is_exact() {
    const LIMIT: usize = 100_000;
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let start = "MAIL FROM:<>\r\nRCPT TO:<a@ours.example>\r\n";
    for (octets, answer) in [(LIMIT, "250 2.0.0 id="), (LIMIT + 1, "552 5.3.4")] {
        let message = format!("{}\r\n", "x".repeat(octets - 2));
        let (first, rest) = message.split_at(60_000);
        for sent in [
            format!("BDAT {octets} LAST\r\n{message}"),
            format!(
                "BDAT {}\r\n{first}BDAT {} LAST\r\n{rest}",
                first.len(),
                rest.len()
            ),
        ] {
            client.send(format!("{start}{sent}")).await;
            client.expect("250 2.1.0").await;
            client.expect("250 2.1.5").await;
            let mut reply = client.reply().await.unwrap();
            if reply.ends_with("60000 octets received") {
                reply = client.reply().await.unwrap();
            }
            assert!(reply.starts_with(answer), "{octets}: {reply}");
        }
        let reply = client.mail(&["a@ours.example"], &message).await;
        assert!(reply.starts_with(answer), "{octets}: {reply}");
        client
            .ask(&format!("MAIL FROM:<> SIZE={octets}"), &answer[..3])
            .await;
        client.ask("RSET", "250").await;
    }
    assert_eq!(world.shards[0].kept().len(), 3);
    let kept = world.shards[0].kept();
    assert!(kept.iter().all(|kept| kept.body.len() > LIMIT));
}

#[tokio::test]
async fn what_a_client_calls_itself_is_made_harmless() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("EHLO evil (by x) with <y>; id", "250").await;
    client.mail(&["a@ours.example"], "Subject: a\r\n\r\n").await;
    let text = world.shards[0].kept()[0].text();
    let start = "Received: from evil??by?x??with??y???id ([127.0.0.1])\r\n";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let world = World::with(|config| config.limits.max_message_size = 1000).await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    client.ask("DATA", "354").await;
    client.send("x\r\n".repeat(20_000)).await;
    client.expect("552 5.3.4").await;
    client.expect_end().await;
}

#[tokio::test]
async fn loops_end() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let received = "Received: from a by b; c\r\n";
    for (count, answer) in [(99, "250 2.0.0"), (100, "554 5.4.6")] {
        let message = format!("{}\r\nbody\r\n", received.repeat(count));
        let reply = client.mail(&["a@ours.example"], &message).await;
        assert!(reply.starts_with(answer), "{count}: {reply}");
    }
}

#[tokio::test]
async fn large_bodies_go_by_the_volume() {
    let world = World::with(|config| {
        config.limits.max_message_size = 10 << 20;
        config.limits.body_memory_each = 300_000;
    })
    .await;
    world.account("a@ours.example", 0);
    world.account("b@ours.example", 1);
    let mut client = world.client().await;
    let message = format!("Subject: a\r\n\r\n{}", "0123456789\r\n".repeat(200_000));
    let reply = client
        .mail(&["a@ours.example", "b@ours.example"], &message)
        .await;
    assert!(reply.ends_with("stored"), "{reply}");
    for shard in &world.shards {
        let text = shard.kept()[0].text();
        assert!(text.ends_with(&message));
        assert!(
            !text.contains("\r\n\tfor "),
            "no recipient is named when there are two"
        );
    }
}

#[tokio::test]
async fn no_room_is_temporary() {
    let world = World::with(|config| {
        config.limits.body_memory = 64 * 1024;
        config.limits.body_disk = 0;
    })
    .await;
    world.account("a@ours.example", 0);
    let mut client = world.client().await;
    let reply = client
        .mail(&["a@ours.example"], &"x\r\n".repeat(30_000))
        .await;
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    let reply = client.mail(&["a@ours.example"], "x\r\n").await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
}
