//! Malformed and hostile input: an answer or an end for each, and everybody else is served.

use crate::world::World;

#[tokio::test]
async fn each_gets_its_answer() {
    let world = World::new().await;
    let long = "A".repeat(100_000);
    for (input, answer) in [
        ("\r\n", "-ERR unknown command"),
        ("USER\r\n", "-ERR write: USER name"),
        ("PASS x\r\n", "-ERR USER comes first"),
        ("PASS \r\n", "-ERR write: PASS password"),
        (
            "USER a\0b\r\n",
            "-ERR control characters or invalid UTF-8 in the command",
        ),
        ("APOP a b\r\n", "-ERR unknown command"),
        ("RETR 1\r\n", "-ERR RETR comes after login"),
        ("RETR 99999999999\r\n", "-ERR write: RETR number"),
        ("AUTH\r\n", "-ERR write: AUTH mechanism [initial-response]"),
        ("AUTH LOGIN\r\n", "-ERR unknown mechanism: PLAIN is the one"),
        (
            "AUTH EXTERNAL =\r\n",
            "-ERR unknown mechanism: PLAIN is the one",
        ),
        ("AUTH PLAIN !\r\n", "-ERR response is not base64"),
        (
            "AUTH PLAIN AAA=\r\n",
            "-ERR response is not a message of this mechanism",
        ),
        (
            &format!("USER {long}\r\n"),
            "-ERR command line too long: at most 255 octets",
        ),
        (
            &format!("{long}{long}\r\n"),
            "-ERR command line too long: at most 255 octets",
        ),
        ("GET / HTTP/1.1\r\n", "-ERR unknown command"),
        ("NOOP\n", "-ERR NOOP comes after login"),
    ] {
        let mut client = world.pop3s().await;
        client.say(input).await;
        assert_eq!(client.line().await, answer, "{:.40}", input);
        // The connection is still in step.
        assert_eq!(client.ask("QUIT").await, "+OK bye", "{:.40}", input);
    }
    assert!(world.directory.passwords().is_empty());
    world.logged_in().await;
}

#[tokio::test]
async fn mistakes_without_end_are_ended() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    client.say(&"X\r\n".repeat(100)).await;
    let said = client.rest().await;
    assert_eq!(said.lines().count(), 10, "{said}");
    assert!(said.ends_with("-ERR too many mistakes\r\n"), "{said}");
    world.logged_in().await;
}

#[tokio::test]
async fn octets_that_are_no_text() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    use tokio::io::AsyncWriteExt;
    client
        .io
        .write_all(&[0xff, 0x00, 0x0a, 0x16, 0x03, 0x01, 0x0a])
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(client.line().await.starts_with("-ERR "));
    }
    world.logged_in().await;
}
