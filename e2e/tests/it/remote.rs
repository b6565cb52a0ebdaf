//! Administration from elsewhere: `--server HOST:PORT --identity DIR --instance NAME`, and what
//! `buzonera status` says of shards that take no mail.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Cluster;
use e2e::site::feed;
use e2e::{binaries, wait};
use serde_json::Value;
use wire::identity::Tier;

use crate::support::on_cluster;

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_is_found_by_address_and_identity() {
    on_cluster(2, async |cluster: &mut Cluster| {
        administer(cluster)?;
        administer_by_environment(cluster)?;
        refuse_others(cluster)?;
        tell_trouble(cluster).await
    })
    .await;
}

fn administer(cluster: &Cluster) -> Result<()> {
    ask(cluster, &["domain", "add", "example.org"], "")?;
    let add = ["account", "add", "ana@example.org", "--password-stdin"];
    let account = ask(cluster, &add, "knock knock")?;
    ensure!(account["state"] == "active", "{account}");
    let status = ask(cluster, &["status"], "")?;
    ensure!(status["store"] == "etcd", "{status}");
    ensure!(
        status["mover"]
            .as_str()
            .is_some_and(|name| name.starts_with("directory-")),
        "{status}"
    );
    let shards = status["shards"].as_array().map(Vec::len);
    ensure!(shards == Some(2), "{status}");
    Ok(())
}

/// In a pod the environment names the cluster, so that nobody types three flags.
fn administer_by_environment(cluster: &Cluster) -> Result<()> {
    let flags = cluster.reach()?;
    let mut command = std::process::Command::new(binaries::path("buzonera")?);
    command.args(["status", "--output", "json"]);
    for pair in flags.chunks_exact(2) {
        let name = pair[0].trim_start_matches('-').to_uppercase();
        command.env(format!("BUZONERA_{name}"), &pair[1]);
    }
    let output = feed(command, "")?;
    ensure!(output.status.success(), "{output:?}");
    let status: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(status["store"] == "etcd", "{status}");
    Ok(())
}

/// Name, changes to the flags, exit code, and what the complaint has to contain.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i32, &'a str);

fn refuse_others(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.identity(Tier::Mx, "mx-1")?.display().to_string();
    let cases: [Case; 6] = [
        (
            "another instance answers",
            &[("--instance", "directory-2")],
            4,
            "directory-2",
        ),
        (
            "nobody listens",
            &[("--server", "127.0.0.1:1")],
            4,
            "127.0.0.1:1",
        ),
        ("no address", &[("--server", "nowhere")], 2, "nowhere"),
        ("no folder", &[("--identity", "/nowhere")], 2, "/nowhere"),
        (
            "a tier is no administrator",
            &[("--identity", &stranger)],
            1,
            "does not let",
        ),
        (
            "an instance that cannot be",
            &[("--instance", "a b")],
            2,
            "a b",
        ),
    ];
    for (name, changes, code, complaint) in cases {
        let mut flags = cluster.reach()?;
        for (flag, value) in changes {
            let at = flags.iter().position(|known| known == flag);
            flags[at.unwrap_or_default() + 1] = (*value).to_owned();
        }
        let mut command = std::process::Command::new(binaries::path("buzonera")?);
        command.arg("status").args(&flags);
        let output = feed(command, "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(code) && said.contains(complaint),
            "{name}: {:?} {said}",
            output.status.code()
        );
        ensure!(said.lines().count() == 1, "{name}: {said}");
    }
    Ok(())
}

/// A shard whose disk is nearly full, and one that is away.
async fn tell_trouble(cluster: &mut Cluster) -> Result<()> {
    let shard = cluster.member("shard-2")?;
    shard.kill()?;
    shard.add_flag("--min-free-percent", "101");
    shard.start()?;
    shard.ready(PATIENCE).await?;
    let said = status_ends(cluster, 1).await?;
    ensure!(
        said.starts_with("buzonera: The disk of shard-2 is nearly full"),
        "{said}"
    );
    let shards = ask(cluster, &["shards"], "")?;
    for (at, nearly_full) in [(0, false), (1, true)] {
        ensure!(
            shards[at]["nearly_full"] == nearly_full && shards[at]["takes_mail"] == !nearly_full,
            "{shards}"
        );
    }
    let table = cluster.buzonera(&["shards"], "")?;
    let table = String::from_utf8(table.stdout)?;
    ensure!(table.contains("active, nearly full"), "{table}");

    cluster.member("shard-2")?.kill()?;
    cluster.member("shard-1")?.kill()?;
    let said = status_ends(cluster, 4).await?;
    ensure!(
        said.starts_with("buzonera: shard-1, shard-2 is away"),
        "{said}"
    );
    Ok(())
}

/// Waits until `buzonera status` ends with that exit code; what it complains of.
async fn status_ends(cluster: &Cluster, code: i32) -> Result<String> {
    wait::until(&format!("status ends with {code}"), PATIENCE, || async {
        let output = cluster.buzonera(&["status"], "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code), "{output:?}");
        ensure!(
            !output.stdout.is_empty(),
            "it prints the cluster all the same"
        );
        Ok(said)
    })
    .await
}

fn ask(cluster: &Cluster, words: &[&str], input: &str) -> Result<Value> {
    let output = cluster.buzonera(&[words, &["--output", "json"]].concat(), input)?;
    ensure!(output.status.success(), "{words:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
