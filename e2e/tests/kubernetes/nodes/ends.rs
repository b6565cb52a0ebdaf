//! A Kubernetes with nodes leaves nothing behind: no process, mount, link or control group, however
//! it ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::nodes::{Cluster, down};
use e2e::wait;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde_json::Value;

use super::support::boot;
use crate::support::PATIENCE;

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn nodes_come_and_go_and_nothing_is_left() {
    let mut cluster = boot(2).await.unwrap();
    let outcome = loses_a_node(&mut cluster).await;
    outcome.with_context(|| cluster.access().logs()).unwrap();
    let seen = Seen::of(cluster.folder()).unwrap();
    seen.is_there().unwrap();
    cluster.end().await.unwrap();
    seen.is_gone().unwrap();
}

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn after_a_crash_nothing_is_left_either() {
    let cluster = boot(1).await.unwrap();
    let folder = cluster.folder().to_owned();
    let seen = Seen::of(&folder).unwrap();
    seen.is_there().unwrap();
    cluster.crash().await.unwrap();
    assert!(down(&folder).await.unwrap());
    seen.is_gone().unwrap();
    // Twice is no mistake.
    assert!(!down(&folder).await.unwrap());
}

/// One is cut off from its power, is missed, and comes back.
async fn loses_a_node(cluster: &mut Cluster) -> Result<()> {
    let client = cluster.access().client().await?;
    let nodes: Api<Node> = Api::all(client);
    cluster.lose("node-2")?;
    wait::until("node-2 is missed", PATIENCE, || is(&nodes, "Unknown")).await?;
    cluster.again(2)?;
    wait::until("node-2 is back", PATIENCE, || is(&nodes, "True")).await
}

async fn is(nodes: &Api<Node>, wanted: &str) -> Result<()> {
    let status = nodes.get("node-2").await?.status.unwrap_or_default();
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions
        .find(|one| one.type_ == "Ready")
        .context("not there")?;
    ensure!(ready.status == wanted, "{}", ready.status);
    Ok(())
}

/// What is to be seen of one on this machine.
struct Seen {
    folder: String,
    link: String,
}

impl Seen {
    /// Its network stands in its folder.
    fn of(folder: &Path) -> Result<Self> {
        let state: Value = serde_json::from_slice(&fs::read(folder.join("state.json"))?)?;
        let number = state["net"]["number"].as_u64().context("no network")?;
        Ok(Self {
            folder: folder.display().to_string(),
            link: format!("buzkube{number}"),
        })
    }

    /// Else that nothing is left would prove nothing.
    fn is_there(&self) -> Result<()> {
        let Self { folder, .. } = self;
        ensure!(!self.processes()?.is_empty(), "no process of {folder}");
        ensure!(!self.groups()?.is_empty(), "no control group of {folder}");
        ensure!(self.links()?.contains(&self.link), "no link of {folder}");
        Ok(())
    }

    fn is_gone(&self) -> Result<()> {
        let processes = self.processes()?;
        ensure!(processes.is_empty(), "processes: {processes:?}");
        let groups = self.groups()?;
        ensure!(groups.is_empty(), "control groups: {groups}");
        let links = self.links()?;
        ensure!(!links.contains(&self.link), "links: {links}");
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        ensure!(!mounts.contains(&self.folder), "mounts: {mounts}");
        ensure!(
            !Path::new(&self.folder).exists(),
            "{} is there",
            self.folder
        );
        Ok(())
    }

    /// Whatever has the folder on its command line, but for us.
    fn processes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let line = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&self.folder) {
                found.push(line);
            }
        }
        Ok(found)
    }

    fn groups(&self) -> Result<String> {
        let name = format!("{}-*", self.link);
        printed("find", &["/sys/fs/cgroup", "-name", &name])
    }

    fn links(&self) -> Result<String> {
        printed("ip", &["link"])
    }
}

fn printed(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?)
}
