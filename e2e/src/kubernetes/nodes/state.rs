//! What there is of a Kubernetes with nodes, kept in its folder: so that `cargo e2e down` ends what is
//! its own and nothing else, whatever became of those that began it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::addresses::Net;
use super::identity::Identity;
use super::{groups, switch};
use crate::wait;

/// For processes that were killed to be gone, and their control groups to be empty.
const GONE: Duration = Duration::from_secs(20);

/// Its processes, its network, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// Whoever began the nodes and ends with them.
    pub keeper: Identity,
    /// Its network; none before there is one.
    pub net: Option<Net>,
    /// The first process of each node.
    pub nodes: BTreeMap<String, Identity>,
    /// Whether pods can run.
    pub ready: bool,
}

impl State {
    /// One of which this process is the keeper.
    pub(super) fn ours() -> Result<Self> {
        Ok(Self {
            keeper: Identity::of(std::process::id())?,
            net: None,
            nodes: BTreeMap::new(),
            ready: false,
        })
    }

    /// As it was written last; none if nothing was begun in this folder.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is unreadable", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it whole.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let half = folder.join("state.half");
        fs::write(&half, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&half, folder.join(FILE))?;
        Ok(())
    }

    /// Ends what there still is of it, but for its folder. It may be done twice.
    pub(super) async fn sweep(&self) -> Result<()> {
        for first in self.nodes.values() {
            first.signal(Signal::KILL)?;
        }
        for (name, first) in &self.nodes {
            ended(&format!("{name} has ended"), first).await?;
        }
        let Some(net) = self.net else { return Ok(()) };
        switch::unplug(net)?;
        for name in self.nodes.keys() {
            let group = group(net, name);
            let what = format!("no process is in the control groups of {name}");
            wait::until(&what, GONE, || async { groups::remove(&group) }).await?;
        }
        Ok(())
    }
}

/// The control group of a node's pods.
pub(super) fn group(net: Net, node: &str) -> String {
    format!("{}-{node}", net.name())
}

/// Waits until a process that was told to end has done so.
pub(super) async fn ended(what: &str, process: &Identity) -> Result<()> {
    wait::until(what, GONE, || async {
        ensure!(!process.is_alive(), "process {} is there", process.pid);
        Ok(())
    })
    .await
}

const FILE: &str = "state.json";
