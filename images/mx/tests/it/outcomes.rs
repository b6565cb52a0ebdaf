//! Each recipient's outcome is one log line, refusals too.

use serde_json::Value;

use crate::harness::logs::{capture, outcomes};
use crate::harness::{Client, Mood, World};

const FROM: &str = "sender@client.example";
const MESSAGE: &str = "Message-ID: <1@client.example>\r\n\r\nbody\r\n";

fn replies(recipient: &str) -> Vec<String> {
    let lines = outcomes(recipient);
    let reply = |line: &Value| line["reply"].as_str().unwrap().to_owned();
    lines.iter().map(reply).collect()
}

/// The only line of a recipient, whose reply starts so; what a refusal has is there.
fn only(recipient: &str, start: &str) -> Value {
    let mut lines = outcomes(recipient);
    assert_eq!(lines.len(), 1, "{recipient}: {lines:?}");
    let line = lines.remove(0);
    let reply = line["reply"].as_str().unwrap();
    assert!(reply.starts_with(start), "{recipient}: {reply}");
    assert_eq!(line["from"], FROM, "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(
        line["transaction"].as_str().map(str::len),
        Some(16),
        "{line}"
    );
    assert!(line["ms"].is_u64());
    line
}

async fn begin(world: &World, recipients: &[&str]) -> Client {
    let mut client = world.client().await;
    client.ask(&format!("MAIL FROM:<{FROM}>"), "250").await;
    for recipient in recipients {
        client.ask(&format!("RCPT TO:<{recipient}>"), "250").await;
    }
    client
}

#[tokio::test]
async fn what_was_stored_has_every_field() {
    capture();
    let world = World::new().await;
    let account = world.account("o1@ours.example", 0);
    let reply = world
        .client()
        .await
        .mail(&["o1@ours.example"], MESSAGE)
        .await;
    let line = only("o1@ours.example", "250 2.0.0 id=");
    assert_eq!(line["reply"], reply.as_str());
    assert!(reply.contains(line["transaction"].as_str().unwrap()));
    assert_eq!(line["account"], account.to_string());
    assert_eq!(line["shard"], "shard-1");
    assert_eq!(line["uid"], 1);
    assert_eq!(line["size"], MESSAGE.len());
    assert_eq!(line["message_id"], "<1@client.example>");
    let stored = &world.shards[0].kept()[0].delivery;
    let delivery = wire::ids::DeliveryId::from_slice(stored).unwrap();
    assert_eq!(line["delivery"], delivery.to_string());
}

#[tokio::test]
async fn refusals_at_rcpt() {
    capture();
    let world = World::new().await;
    let full = world.account("o2-full@ours.example", 0);
    world.account("o2@ours.example", 0);
    world.account("o2-last@ours.example", 0);
    world.directory.fill(full);
    let mut client = begin(&world, &[]).await;
    for (recipient, answer) in [
        ("o2-nobody@ours.example", "550 5.1.1"),
        ("o2@other.example", "550 5.7.1"),
        ("o2-full@ours.example", "452 4.2.2"),
    ] {
        client.ask(&format!("RCPT TO:<{recipient}>"), answer).await;
        only(recipient, answer);
    }
    for _ in 0..100 {
        client.ask("RCPT TO:<o2@ours.example>", "250").await;
    }
    client.ask("RCPT TO:<o2-last@ours.example>", "452").await;
    only("o2-last@ours.example", "452 4.5.3");
}

#[tokio::test]
async fn refused_messages_name_every_recipient() {
    capture();
    let world = World::with(|config| config.limits.max_message_size = 1000).await;
    let names = ["bare", "chunk", "huge", "endless", "loop"];
    let of = |name: &str, who: &str| format!("o3-{name}-{who}@ours.example");
    for name in names {
        world.account(&of(name, "a"), 0);
        world.account(&of(name, "b"), 1);
    }
    let large = "x".repeat(1001);
    let sent = [
        "DATA\r\na\nb\r\n.\r\n".to_owned(),
        format!("BDAT 1001 LAST\r\n{large}"),
        "BDAT 99999999999 LAST\r\n".to_owned(),
        format!("DATA\r\n{}", "x\r\n".repeat(5000)),
        format!("DATA\r\n{}\r\n.\r\n", "Received: a\r\n".repeat(100)),
    ];
    let answers = [
        "550 5.6.0",
        "552 5.3.4",
        "552 5.3.4",
        "552 5.3.4",
        "552 5.3.4",
    ];
    for ((name, sent), answer) in names.into_iter().zip(sent).zip(answers) {
        let (a, b) = (of(name, "a"), of(name, "b"));
        let mut client = begin(&world, &[&a, &b]).await;
        client.send(sent).await;
        let mut reply = client.reply().await.unwrap();
        if reply.starts_with("354") {
            reply = client.reply().await.unwrap();
        }
        assert!(reply.starts_with(answer), "{name}: {reply}");
        for recipient in [a, b] {
            only(&recipient, answer);
        }
    }
}

#[tokio::test]
async fn the_spools_part_is_told_too() {
    capture();
    let world = World::new().await;
    let later = world.account("o4-later@ours.example", 0);
    let gone = world.account("o4-gone@ours.example", 0);
    world.shards[0].set_mood(later, Mood::Retry);
    world.shards[0].set_mood(gone, Mood::Retry);
    let to = ["o4-later@ours.example", "o4-gone@ours.example"];
    let reply = world.client().await.mail(&to, MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    world.shards[0].set_mood(later, Mood::Stores);
    world.directory.remove(gone);
    world
        .until("both are settled", |world| {
            let counts = world.spool().counts();
            (counts.pending, counts.dead) == (0, 1)
        })
        .await;
    let [queued, delivered] = &replies(to[0])[..] else {
        panic!("{:?}", replies(to[0]));
    };
    assert!(queued.ends_with("queued") && delivered == "delivered from the spool");
    let lines = outcomes(to[0]);
    assert_eq!(lines[0]["transaction"], lines[1]["transaction"]);
    assert_eq!(lines[1]["uid"], 1);
    let [_, dead] = &replies(to[1])[..] else {
        panic!("{:?}", replies(to[1]));
    };
    assert_eq!(dead, "dead letter: the account is removed");
}
