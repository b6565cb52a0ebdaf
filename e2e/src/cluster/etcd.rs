//! The store's members: one etcd, or three that elect a leader.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Member, Places};
use crate::places;

/// Members that form one etcd, and how clients reach them.
pub struct Etcd {
    /// One or three.
    pub members: Vec<Member>,
    /// `http://ADDRESS` of each.
    endpoints: Vec<String>,
}

impl Etcd {
    /// So many members, not started yet.
    pub(super) fn new(count: usize, folder: &Path, at: &Places) -> Result<Self> {
        let program = places::etcd().context("etcd 3.6 is needed: `cargo e2e test` builds it")?;
        let names: Vec<String> = (1..=count).map(|number| format!("etcd-{number}")).collect();
        let (mut endpoints, mut peers, mut all) = (Vec::new(), Vec::new(), String::new());
        for name in &names {
            endpoints.push(format!("http://{}", at.address(name)?));
            let peer = format!("http://{}", at.address(name)?);
            let comma = if all.is_empty() { "" } else { "," };
            let _written = write!(all, "{comma}{name}={peer}");
            peers.push(peer);
        }
        let members = names.iter().enumerate().map(|(index, name)| {
            let (client, peer) = (&endpoints[index], &peers[index]);
            let data = folder.join(name).join("data").display().to_string();
            let flags = vec![
                ("--name", name.clone()),
                ("--data-dir", data),
                ("--listen-client-urls", client.clone()),
                ("--advertise-client-urls", client.clone()),
                ("--listen-peer-urls", peer.clone()),
                ("--initial-advertise-peer-urls", peer.clone()),
                ("--initial-cluster", all.clone()),
            ];
            Member::other(program.clone(), name, folder, at, flags)
        });
        Ok(Self {
            members: members.collect(),
            endpoints,
        })
    }

    /// The store as the directory's flag names it.
    pub(super) fn store(&self) -> String {
        format!("etcd:{}", self.endpoints.join(","))
    }

    /// Where a member is asked.
    pub fn endpoint(&self, member: usize) -> &str {
        &self.endpoints[member]
    }

    /// The member that leads, as the member at `asked` knows it.
    pub fn leader(&self, asked: usize) -> Result<usize> {
        let leader = &self.ask(asked, "maintenance/status", &json!({}))?["leader"];
        for member in 0..self.members.len() {
            let Ok(status) = self.ask(member, "maintenance/status", &json!({})) else {
                continue;
            };
            if status["header"]["member_id"] == *leader {
                return Ok(member);
            }
        }
        anyhow::bail!("the leader {leader} does not answer")
    }

    /// Forgets all revisions before the newest.
    pub fn compact(&self, asked: usize) -> Result<()> {
        let found = self.ask(asked, "kv/range", &json!({"key": "AA=="}))?;
        let revision = found["header"]["revision"].clone();
        self.ask(asked, "kv/compaction", &json!({"revision": revision}))?;
        Ok(())
    }

    /// Asks the gateway that etcd offers beside gRPC.
    fn ask(&self, member: usize, verb: &str, request: &Value) -> Result<Value> {
        let url = format!("{}/v3/{verb}", self.endpoints[member]);
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "5", "-d", &request.to_string(), &url])
            .output()
            .context("curl does not start")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{url}: {said}");
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(answer["error"].is_null(), "{url}: {answer}");
        Ok(answer)
    }
}
