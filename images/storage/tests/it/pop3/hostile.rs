//! Malformed and hostile lines: each is answered, and the session is still in step.

use crate::pop3::site::Site;

#[tokio::test]
async fn after_login() {
    let site = Site::new(601, &[b"one\r\n"]).await;
    let mut client = site.opened().await;
    let long = "A".repeat(100_000);
    for (line, answer) in [
        ("", "-ERR unknown command"),
        ("APOP a b", "-ERR unknown command"),
        ("LAST", "-ERR unknown command"),
        ("USER tim", "-ERR USER is not available now"),
        ("PASS x", "-ERR PASS is not available now"),
        ("AUTH EXTERNAL =", "-ERR AUTH is not available now"),
        ("STLS", "-ERR STLS is not available now"),
        ("RETR", "-ERR write: RETR number"),
        ("RETR 0", "-ERR write: RETR number"),
        ("RETR -1", "-ERR write: RETR number"),
        ("RETR 2", "-ERR no such message, 1 in the maildrop"),
        ("RETR 4294967295", "-ERR no such message, 1 in the maildrop"),
        ("RETR 4294967296", "-ERR write: RETR number"),
        ("RETR 1 1", "-ERR write: RETR number"),
        ("TOP 1", "-ERR write: TOP number lines"),
        ("TOP 1 -1", "-ERR write: TOP number lines"),
        ("DELE one", "-ERR write: DELE number"),
        ("LIST 1 2", "-ERR write: LIST [number]"),
        (
            "STAT\0",
            "-ERR control characters or invalid UTF-8 in the command",
        ),
        (
            "STAT\rNOOP",
            "-ERR control characters or invalid UTF-8 in the command",
        ),
        (&long, "-ERR command line too long: at most 255 octets"),
    ] {
        assert_eq!(client.ask(line).await, answer, "{:.40}", line);
    }
    assert_eq!(client.ask("NOOP").await, "+OK");
}

#[tokio::test]
async fn before_login() {
    let site = Site::new(602, &[]).await;
    let mut client = site.proxy().await;
    for (line, answer) in [
        ("STAT", "-ERR STAT is not available now"),
        ("USER tim", "-ERR USER is not available now"),
        (
            "AUTH PLAIN AHRpbQB4",
            "-ERR only EXTERNAL: this port is for Buzonera's proxies",
        ),
        (
            "AUTH EXTERNAL =",
            "-ERR write account=UUID;epoch=N;client=IP:PORT;session=ID",
        ),
        ("AUTH EXTERNAL !", "-ERR response is not base64"),
        (
            "AUTH EXTERNAL AAAA",
            "-ERR response is not a message of this mechanism",
        ),
    ] {
        assert_eq!(client.ask(line).await, answer);
    }
    site.opened().await;
}
