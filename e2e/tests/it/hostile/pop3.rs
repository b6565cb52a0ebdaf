//! POP3: before login in plain text, and after login over TLS.

use anyhow::Result;
use e2e::pop3::{Client, trust};
use e2e::site::Site;

use super::{row, still_serves, try_rows};
use crate::support::{ANA, PASSWORD, TestSite};

/// The status lines; what a multi-line answer holds is left out.
fn status_lines(text: &str) -> Vec<String> {
    let status = |line: &&str| line.starts_with("+OK") || line.starts_with("-ERR");
    text.lines().filter(status).map(str::to_owned).collect()
}

fn rows() -> Vec<super::Row> {
    let long = "x".repeat(10_000);
    vec![
        row("an unknown verb", "BREW\r\nQUIT\r\n", &["-ERR", "+OK"]),
        row("an empty line", "\r\nQUIT\r\n", &["-ERR", "+OK"]),
        row(
            "a line of 10,000 octets",
            format!("USER {long}\r\nQUIT\r\n"),
            &["-ERR", "+OK"],
        ),
        row(
            "octets that are no text",
            b"\xff\xfe\x00\x80\r\nQUIT\r\n",
            &["-ERR", "+OK"],
        ),
        row(
            "a password in plain text",
            "USER ana@example.org\r\nQUIT\r\n",
            &["-ERR", "+OK"],
        ),
        row("PASS first", "PASS x\r\nQUIT\r\n", &["-ERR", "+OK"]),
        row(
            "AUTH in plain text",
            "AUTH PLAIN AGEAYg==\r\nQUIT\r\n",
            &["-ERR", "+OK"],
        ),
        row(
            "APOP is not there",
            "APOP ana 0123\r\nQUIT\r\n",
            &["-ERR", "+OK"],
        ),
        row(
            "a transaction's verb before login",
            "STAT\r\nRETR 1\r\nQUIT\r\n",
            &["-ERR", "-ERR", "+OK"],
        ),
        row("QUIT with a word", "QUIT now\r\nQUIT\r\n", &["-ERR", "+OK"]),
        row("pipelined octets after STLS", "STLS\r\nQUIT\r\n", &["-ERR"]),
    ]
}

/// Commands after login that are refused, each with how its answer begins.
const REFUSED: [(&str, &str); 12] = [
    ("RETR", "-ERR"),
    ("RETR 0", "-ERR"),
    ("RETR 2", "-ERR"),
    ("RETR -1", "-ERR"),
    ("RETR 99999999999999999999", "-ERR"),
    ("RETR 1 2", "-ERR"),
    ("TOP 1", "-ERR"),
    ("TOP 1 -1", "-ERR"),
    ("LIST x", "-ERR"),
    ("UIDL 7", "-ERR"),
    ("LAST", "-ERR"),
    ("USER ana", "-ERR"),
];

async fn refuse_after_login(site: &TestSite) -> Result<()> {
    let tls = trust(&site.ca())?;
    let mut client = Client::login(Site::at(site.ports().pop3s), &tls, ANA, PASSWORD).await?;
    for (command, expect) in REFUSED {
        let error = client.ask(command).await.expect_err(command);
        let shown = format!("{error:#}");
        assert!(shown.contains(expect), "{command}: {shown}");
    }
    client.ask("DELE 1").await?;
    let twice = client.ask("DELE 1").await.expect_err("deleted twice");
    assert!(format!("{twice:#}").contains("-ERR"), "{twice:#}");
    client.ask("RSET").await?;
    assert_eq!(client.unique_ids().await?.len(), 1);
    client.quit().await
}

#[tokio::test]
async fn each_input_has_its_answer_and_pop3_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    try_rows(Site::at(site.ports().pop3), &rows(), status_lines).await;
    still_serves(&site, 3).await.unwrap();
    refuse_after_login(&site).await.unwrap();
    let tls = trust(&site.ca()).unwrap();
    for (user, password) in [
        (ANA, "wrong"),
        ("nobody@example.org", "x"),
        ("", ""),
        ("\u{fc}", "x"),
    ] {
        let refused = Client::login(Site::at(site.ports().pop3s), &tls, user, password).await;
        assert!(refused.is_err(), "{user:?} logged in");
    }
    still_serves(&site, 4).await.unwrap();
}
