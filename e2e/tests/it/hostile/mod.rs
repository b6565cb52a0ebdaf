//! Hostile and malformed input gets the answer that its table says, and everything still serves.

mod csv;
mod flags;
mod lmtp;
mod pop3;
mod rpc;
mod smtp;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{ANA, TestSite};

/// How long a server may take to answer everything in a row and close.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message still goes in and comes out.
async fn still_serves(site: &TestSite, mark: u64) -> Result<()> {
    site.deliver([mark], ANA).await?;
    wait::until("the message is read", PATIENCE, || async {
        let found = site.numbers(ANA).await?.contains(&mark);
        ensure!(found, "it is not in the mailbox");
        Ok(())
    })
    .await
}

/// One row: what is sent, and how each answer after the greeting begins.
struct Row {
    name: &'static str,
    send: Vec<u8>,
    expect: Vec<&'static str>,
}

fn row(name: &'static str, send: impl Into<Vec<u8>>, expect: &[&'static str]) -> Row {
    Row {
        name,
        send: send.into(),
        expect: expect.to_vec(),
    }
}

/// Sends a row's octets over plain TCP, reads until the server closes, and compares.
async fn try_row(address: SocketAddr, row: &Row, answers: fn(&str) -> Vec<String>) -> Result<()> {
    let text = converse(address, &row.send)
        .await
        .with_context(|| row.name)?;
    let got = answers(&text);
    let got = got.get(1..).unwrap_or_default();
    let fits = got.len() == row.expect.len()
        && got
            .iter()
            .zip(&row.expect)
            .all(|(got, expect)| got.starts_with(expect));
    ensure!(fits, "{}: expected {:?}, got {got:?}", row.name, row.expect);
    Ok(())
}

/// Everything that the server says, from its greeting until it closes.
async fn converse(address: SocketAddr, send: &[u8]) -> Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let mut all = Vec::new();
    let talk = async {
        let send = async {
            // The server may close before it has read everything; its answers say why.
            let _ = writer.write_all(send).await;
            let _ = writer.shutdown().await;
        };
        let receive = async {
            // Closing while octets are on their way is a reset; what came before counts.
            let _ = reader.read_to_end(&mut all).await;
        };
        tokio::join!(send, receive)
    };
    timeout(PATIENCE, talk)
        .await
        .context("the server neither answers nor closes")?;
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// The last line of each SMTP reply.
fn replies(text: &str) -> Vec<String> {
    let last = |line: &&str| line.as_bytes().get(3) != Some(&b'-');
    text.lines().filter(last).map(str::to_owned).collect()
}

/// Tries all rows of a protocol and reports every one that is wrong.
async fn try_rows(address: SocketAddr, rows: &[Row], answers: fn(&str) -> Vec<String>) {
    let mut wrong = Vec::new();
    for row in rows {
        if let Err(error) = try_row(address, row, answers).await {
            wrong.push(format!("{error:#}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// How a command of ours ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(site: &TestSite, words: &[&str]) -> Ran {
    let output = site.buzonera(words, "").unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
