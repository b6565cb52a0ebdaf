//! POP3: before login in plain text, and after login over TLS.

use anyhow::{Result, ensure};
use e2e::pop3::{Client, trust};
use e2e::site::Site;

use super::{row, still_serves, try_rows};
use crate::support::{ANA, PASSWORD, TestSite};

/// The status lines; what a multi-line answer holds is left out.
fn status_lines(text: &str) -> Vec<String> {
    let status = |line: &&str| line.starts_with("+OK") || line.starts_with("-ERR");
    text.lines().filter(status).map(str::to_owned).collect()
}

const BYE: &str = "+OK bye";

fn rows() -> Vec<super::Row> {
    let long = "x".repeat(10_000);
    let refused = |name, send: &[u8], answer: &'static str| {
        let send = [send, b"\r\nQUIT\r\n"].concat();
        row(name, send, &[answer, BYE])
    };
    let too_long = format!("USER {long}");
    vec![
        refused("an unknown verb", b"BREW", "-ERR unknown command"),
        refused("an empty line", b"", "-ERR unknown command"),
        refused(
            "a line of 10,000 octets",
            too_long.as_bytes(),
            "-ERR command line too long: at most 255 octets",
        ),
        refused(
            "octets that are no text",
            b"\xff\xfe\x00\x80",
            "-ERR control characters or invalid UTF-8 in the command",
        ),
        refused(
            "a NUL in a name",
            b"USER a\0na",
            "-ERR control characters or invalid UTF-8 in the command",
        ),
        refused(
            "a name in plain text",
            b"USER ana@example.org",
            "-ERR STLS comes first",
        ),
        refused(
            "a password in plain text",
            b"PASS x",
            "-ERR STLS comes first",
        ),
        refused(
            "AUTH in plain text",
            b"AUTH PLAIN AGEAYg==",
            "-ERR STLS comes first",
        ),
        refused(
            "APOP is not there",
            b"APOP ana 0123",
            "-ERR unknown command",
        ),
        refused("QUIT with a word", b"QUIT now", "-ERR write: QUIT"),
        row(
            "a transaction's verbs before login",
            "STAT\r\nRETR 1\r\nQUIT\r\n",
            &[
                "-ERR STAT comes after login",
                "-ERR RETR comes after login",
                BYE,
            ],
        ),
        row(
            "pipelined octets after STLS",
            "STLS\r\nQUIT\r\n",
            &["-ERR nothing may follow STLS before its answer"],
        ),
    ]
}

/// Commands after login, with how they are refused.
const REFUSED: [(&str, &str); 15] = [
    ("RETR", "-ERR write: RETR number"),
    ("RETR 0", "-ERR write: RETR number"),
    ("RETR 2", "-ERR no such message, 1 in the maildrop"),
    ("RETR -1", "-ERR write: RETR number"),
    ("RETR 99999999999999999999", "-ERR write: RETR number"),
    ("RETR 1 2", "-ERR write: RETR number"),
    ("TOP 1", "-ERR write: TOP number lines"),
    ("TOP 1 -1", "-ERR write: TOP number lines"),
    ("LIST x", "-ERR write: LIST [number]"),
    ("UIDL 7", "-ERR no such message, 1 in the maildrop"),
    ("DELE 2", "-ERR no such message, 1 in the maildrop"),
    ("LAST", "-ERR unknown command"),
    ("USER ana", "-ERR USER is not available now"),
    ("STLS", "-ERR STLS is not available now"),
    ("AUTH PLAIN AGEAYg==", "-ERR AUTH is not available now"),
];

async fn refuse_after_login(site: &TestSite) -> Result<()> {
    let tls = trust(&site.ca())?;
    let mut client = Client::login(Site::at(site.ports().pop3s), &tls, ANA, PASSWORD).await?;
    for (command, expect) in REFUSED {
        refuse(&mut client, command, expect).await?;
    }
    client.ask("DELE 1").await?;
    refuse(&mut client, "DELE 1", "-ERR message 1 is already deleted").await?;
    refuse(&mut client, "RETR 1", "-ERR message 1 is already deleted").await?;
    client.ask("RSET").await?;
    ensure!(client.unique_ids().await?.len() == 1);
    client.quit().await
}

/// The answer to `command`, word for word.
async fn refuse(client: &mut Client, command: &str, expect: &str) -> Result<()> {
    let answer = match client.ask(command).await {
        Ok(rest) => format!("+OK {rest}"),
        Err(error) => error.root_cause().to_string(),
    };
    ensure!(answer == expect, "{command}: {answer}, and not {expect}");
    Ok(())
}

#[tokio::test]
async fn each_input_has_its_answer_and_pop3_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    try_rows(Site::at(site.ports().pop3), &rows(), status_lines).await;
    still_serves(&site, 3).await.unwrap();
    refuse_after_login(&site).await.unwrap();
    let tls = trust(&site.ca()).unwrap();
    for (user, password, expect) in [
        (ANA, "wrong", "-ERR [AUTH] wrong name or password"),
        (
            "nobody@example.org",
            "x",
            "-ERR [AUTH] wrong name or password",
        ),
        ("ana", PASSWORD, "-ERR [AUTH] wrong name or password"),
        ("\u{fc}", "x", "-ERR [AUTH] wrong name or password"),
        ("", "", "-ERR write: USER name"),
    ] {
        let login = Client::login(Site::at(site.ports().pop3s), &tls, user, password);
        let refused = login.await.err().expect(user);
        assert_eq!(refused.root_cause().to_string(), expect, "{user:?}");
    }
    still_serves(&site, 4).await.unwrap();
}
