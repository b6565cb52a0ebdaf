//! `buzonera spool`: mail for a shard that is away is listed, shown, tried when asked, and arrives
//! once; what was given up is removed when asked, and nothing else is.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Cluster;
use e2e::{binaries, terminal, wait};
use serde_json::Value;

use crate::documented::Document;
use crate::mail::{deliver, numbers};
use crate::support::{ANA, FROM, PASSWORD, on_cluster};

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spooled_mail_is_listed_shown_and_tried_when_asked() {
    on_cluster(2, spool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_removed_and_nothing_else_is() {
    on_cluster(1, remove).await;
}

async fn remove(cluster: &mut Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    admin.add_account(ANA, PASSWORD, "shard-1").await?;
    cluster.member("shard-1")?.kill()?;
    for mark in [1, 2] {
        deliver(cluster, mark, ANA).await?;
    }
    let list = ask(cluster, &["spool", "list"])?;
    let [entry, other] = [0, 1].map(|at: usize| list[at]["entry"].to_string());
    // It may be delivered yet.
    let refused = fails(cluster, &["spool", "remove", &entry, "--yes"], 1)?;
    ensure!(refused.contains("is still tried for 1 of its"), "{refused}");

    text(cluster, &["account", "remove", ANA, "--yes"])?;
    wait::until("both are given up", PATIENCE, || async {
        text(cluster, &["spool", "retry", "--all"])?;
        let dead = ask(cluster, &["spool", "list", "--dead"])?;
        ensure!(dead.as_array().map(Vec::len) == Some(2), "{dead}");
        Ok(())
    })
    .await?;
    asks_first(cluster, &other)?;
    let unasked = fails(cluster, &["spool", "remove", &entry], 2)?;
    ensure!(unasked.contains("use --yes"), "{unasked}");
    let removed = ask(cluster, &["spool", "remove", &entry, "--yes"])?;
    Document::read()?.fit(&Value::Array(vec![removed]), "Entry", &[])?;
    fails(cluster, &["spool", "remove", &entry, "--yes"], 3)?;
    cluster.member("mx-1")?.kill()?;
    cluster.member("mx-1")?.start()?;
    cluster.member("mx-1")?.ready(PATIENCE).await?;
    ensure!(ask(cluster, &["spool", "list"])? == Value::Array(Vec::new()));
    Ok(())
}

/// On a terminal it is removed by who types its number again.
fn asks_first(cluster: &Cluster, entry: &str) -> Result<()> {
    let program = binaries::path("buzonera")?;
    let (program, reach, mx) = (program.display(), cluster.reach()?.join(" "), cluster.mx);
    let command = format!("{program} spool remove {entry} {reach} --mx {mx} --mx-instance mx-1");
    let folder = tempfile::tempdir()?;
    let wrong = terminal::run(folder.path(), &command, &["0"])?;
    ensure!(wrong.code == Some(1), "{}", wrong.screen);
    ensure!(
        wrong.screen.contains("nothing was removed"),
        "{}",
        wrong.screen
    );
    let right = terminal::run(folder.path(), &command, &[entry])?;
    ensure!(right.code == Some(0), "{}", right.screen);
    let said = format!("Entry {entry}, from <{FROM}>, is removed.");
    ensure!(right.screen.contains(&said), "{}", right.screen);
    let gone = terminal::run(folder.path(), &command, &[])?;
    ensure!(gone.code == Some(3), "{}", gone.screen);
    Ok(())
}

/// What a command says that ends with this exit code.
fn fails(cluster: &Cluster, words: &[&str], code: i32) -> Result<String> {
    let output = cluster.buzonera(words, "")?;
    ensure!(output.status.code() == Some(code), "{words:?}: {output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

async fn spool(cluster: &mut Cluster) -> Result<()> {
    let document = Document::read()?;
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    admin.add_account(ANA, PASSWORD, "shard-1").await?;
    ensure!(ask(cluster, &["spool", "list"])? == Value::Array(Vec::new()));
    ensure!(text(cluster, &["spool", "list"])? == "The spool is empty.\n");

    cluster.member("shard-1")?.kill()?;
    deliver(cluster, 1, ANA).await?;
    let list = ask(cluster, &["spool", "list"])?;
    document.fit(&list, "Entry", &[])?;
    ensure!(list.as_array().map(Vec::len) == Some(1), "{list}");
    let entry = list[0]["entry"].to_string();
    let target = &list[0]["targets"][0];
    ensure!(
        (&target["recipient"], &target["shard"]) == (&ANA.into(), &"shard-1".into()),
        "{list}"
    );
    ensure!(
        list[0]["from"] == FROM && list[0]["head"].is_null(),
        "{list}"
    );
    let elsewhere = ask(cluster, &["spool", "list", "--shard", "shard-2"])?;
    ensure!(elsewhere == Value::Array(Vec::new()), "{elsewhere}");
    let dead = ask(cluster, &["spool", "list", "--dead"])?;
    ensure!(dead == Value::Array(Vec::new()), "{dead}");

    let shown = ask(cluster, &["spool", "show", &entry])?;
    document.fits(&shown, "Entry", &[])?;
    let head = shown["head"].as_str().context("no head")?;
    ensure!(head.contains("\nSubject: test 1\r\n"), "{head}");
    let table = text(cluster, &["spool", "show", &entry])?;
    ensure!(table.contains("\n  Subject: test 1\n"), "{table}");

    for words in [["spool", "show", "999999"], ["spool", "retry", "999999"]] {
        let output = cluster.buzonera(&words, "")?;
        ensure!(output.status.code() == Some(3), "{words:?}: {output:?}");
    }
    let none = cluster.buzonera(&["spool", "retry"], "")?;
    ensure!(none.status.code() == Some(2), "{none:?}");

    tried(cluster, &entry).await?;
    cluster.member("shard-1")?.start()?;
    cluster.member("shard-1")?.ready(PATIENCE).await?;
    arrives_when_asked(cluster).await
}

/// A retry while the shard is away is one attempt more, and the reason is told.
async fn tried(cluster: &Cluster, entry: &str) -> Result<()> {
    let document = Document::read()?;
    let before = attempts(&ask(cluster, &["spool", "show", entry])?)?;
    let retry = ask(cluster, &["spool", "retry", entry])?;
    document.fits(&retry, "Retry", &[])?;
    ensure!(retry["retried"] == 1, "{retry}");
    wait::until("the entry is tried", PATIENCE, || async {
        let shown = ask(cluster, &["spool", "show", entry])?;
        ensure!(attempts(&shown)? > before, "{shown}");
        ensure!(shown["targets"][0]["last_error"].is_string(), "{shown}");
        Ok(())
    })
    .await
}

/// The next attempt by itself may be minutes away; the entry leaves when it is asked to.
async fn arrives_when_asked(cluster: &Cluster) -> Result<()> {
    wait::until("the spool is empty", PATIENCE, || async {
        text(cluster, &["spool", "retry", "--all"])?;
        let list = ask(cluster, &["spool", "list"])?;
        ensure!(list == Value::Array(Vec::new()), "{list}");
        Ok(())
    })
    .await?;
    let numbers = numbers(cluster, ANA).await?;
    ensure!(numbers == [1], "{numbers:?}");
    Ok(())
}

fn attempts(entry: &Value) -> Result<u64> {
    let attempts = entry["targets"][0]["attempts"].as_u64();
    attempts.with_context(|| entry.to_string())
}

fn ask(cluster: &Cluster, words: &[&str]) -> Result<Value> {
    let said = text(cluster, &[words, &["--output", "json"]].concat())?;
    Ok(serde_json::from_str(&said)?)
}

fn text(cluster: &Cluster, words: &[&str]) -> Result<String> {
    let output = cluster.buzonera(words, "")?;
    ensure!(output.status.success(), "{words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}
