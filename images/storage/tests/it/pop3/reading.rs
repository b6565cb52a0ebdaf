//! STAT, LIST, UIDL, RETR, TOP, CAPA: what a mail client reads.

use crate::pop3::site::{OWNER, Site};
use crate::rig::{UID_VALIDITY, account, as_read};

const DOTS: &[u8] = b"Subject: dots\r\n\r\n.\r\n..\r\nlast\r\n";

fn text(body: &[u8]) -> String {
    String::from_utf8(as_read(account(OWNER), body)).unwrap()
}

#[tokio::test]
async fn numbers_sizes_and_ids() {
    let site = Site::new(101, &[DOTS, b"A: b\r\n\r\nshort\r\n"]).await;
    let (one, two) = (text(DOTS).len(), text(b"A: b\r\n\r\nshort\r\n").len());
    let mut client = site.opened().await;
    assert_eq!(client.ask("STAT").await, format!("+OK 2 {}", one + two));
    assert_eq!(client.ask("LIST 2").await, format!("+OK 2 {two}"));
    assert_eq!(
        client.ask("UIDL 1").await,
        format!("+OK 1 {UID_VALIDITY}.1")
    );
    let (_, sizes) = client.ask_many("LIST").await;
    assert_eq!(sizes, format!("1 {one}\r\n2 {two}\r\n.\r\n"));
    let (_, ids) = client.ask_many("UIDL").await;
    assert_eq!(
        ids,
        format!("1 {UID_VALIDITY}.1\r\n2 {UID_VALIDITY}.2\r\n.\r\n")
    );
}

#[tokio::test]
async fn messages_come_whole_with_their_dots() {
    let site = Site::new(102, &[DOTS]).await;
    let mut client = site.opened().await;
    let (first, message) = client.ask_many("RETR 1").await;
    assert_eq!(first, format!("+OK {} octets", text(DOTS).len()));
    let stuffed = text(DOTS).replace("\r\n.", "\r\n..");
    assert_eq!(message, format!("{stuffed}.\r\n"));
    let (_, top) = client.ask_many("TOP 1 1").await;
    let head = stuffed.split("...\r\n").next().unwrap();
    assert_eq!(top, format!("{head}.\r\n"));
    let (_, all) = client.ask_many("TOP 1 99").await;
    assert_eq!(all, message);
}

#[tokio::test]
async fn a_large_message_is_the_same_at_the_other_end() {
    let line = format!("{}\r\n", "x".repeat(70));
    let body = format!("Subject: large\r\n\r\n{}", line.repeat(20_000));
    let site = Site::new(103, &[body.as_bytes()]).await;
    let mut client = site.opened().await;
    let (_, message) = client.ask_many("RETR 1").await;
    assert!(message == format!("{}.\r\n", text(body.as_bytes())));
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let site = Site::new(104, &[DOTS, DOTS]).await;
    let mut client = site.opened().await;
    let messages = (1..=2)
        .map(|n| format!("RETR {n}\r\nDELE {n}\r\n"))
        .collect::<String>();
    client
        .say(&format!("STAT\r\n{messages}STAT\r\nRSET\r\nQUIT\r\n"))
        .await;
    let said = client.rest().await;
    let octets = text(DOTS).len();
    let stuffed = text(DOTS).replace("\r\n.", "\r\n..");
    let one = |n| format!("+OK {octets} octets\r\n{stuffed}.\r\n+OK message {n} marked\r\n");
    let both = 2 * octets;
    let expected = format!(
        "+OK 2 {both}\r\n{}{}+OK 0 0\r\n+OK 2 {both}\r\n+OK bye\r\n",
        one(1),
        one(2)
    );
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_damaged_message_needs_somebodys_help() {
    let site = Site::new(106, &[b"one of two\r\n", b"two\r\n"]).await;
    let mut client = site.opened().await;
    let file = &site.rig.sim.files()[0];
    let octets = site.rig.sim.contents(file);
    let at = octets.windows(10).position(|part| part == b"one of two");
    site.rig.sim.flip_bit(file, at.unwrap() as u64 * 8);
    let answer = client.ask("RETR 1").await;
    assert_eq!(answer, "-ERR [SYS/PERM] the message cannot be read");
    let (_, message) = client.ask_many("RETR 2").await;
    assert!(message.ends_with("two\r\n.\r\n"), "{message}");
}

#[tokio::test]
async fn an_empty_maildrop() {
    let site = Site::new(105, &[]).await;
    let mut client = site.opened().await;
    assert_eq!(client.ask("STAT").await, "+OK 0 0");
    assert_eq!(
        client.ask_many("LIST").await,
        ("+OK".to_owned(), ".\r\n".to_owned())
    );
    assert_eq!(
        client.ask("RETR 1").await,
        "-ERR no such message, 0 in the maildrop"
    );
    let mut fresh = site.proxy().await;
    let (_, before) = fresh.ask_many("CAPA").await;
    assert!(before.starts_with("SASL EXTERNAL\r\nTOP\r\n"), "{before}");
    let (_, capabilities) = client.ask_many("CAPA").await;
    assert!(!capabilities.contains("SASL"), "{capabilities}");
    for capability in ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"] {
        assert!(
            capabilities.contains(&format!("{capability}\r\n")),
            "{capabilities}"
        );
    }
    assert_eq!(client.ask("QUIT").await, "+OK bye");
    assert_eq!(client.line().await, "closed");
}
