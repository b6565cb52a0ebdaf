//! How a shard is, by what the directory says of it and by its pod.

use std::fmt;
use std::str::FromStr;

use wire::rpc::ShardInfo;

use super::Standing;
use crate::shard::recovering;

/// How a shard is. `info`: what the directory says of it; none: it does not know it.
pub fn standing(info: Option<&ShardInfo>, is_pod_ready: bool, is_taken: bool) -> Standing {
    let Some(info) = info else {
        return Standing::Down;
    };
    if let Some(percent) = recovering::percent(info) {
        return Standing::Recovering(percent);
    }
    // Whoever reads is served, and would not be while it restarts.
    match (info.serving && !is_taken, info.read_only, is_pod_ready) {
        (true, false, true) => Standing::Up,
        (true, false, false) | (_, true, true) => Standing::Unsure,
        (false, false, _) | (_, true, false) => Standing::Down,
    }
}

/// When a shard was restarted for a rollout: what its StatefulSet's annotation says.
///
/// It is written together with the template, so that whoever looks next knows it too. The directory's
/// word counts again once it speaks of a later incarnation: the lease of a process that was killed
/// ends only by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// The revision of the StatefulSet's pods then.
    pub revision: String,
    /// The last incarnation that had served.
    pub incarnation: u64,
}

impl Restarted {
    /// What is written with a template. `before`: what was written the last time; `revision`: of the
    /// pods now.
    pub fn now(before: Option<&Self>, revision: String, info: Option<&ShardInfo>) -> Self {
        // What the directory said may be older than what was written.
        let written = before.map_or(0, |before| before.incarnation);
        Self {
            revision,
            incarnation: info.map_or(0, |info| info.incarnation).max(written),
        }
    }

    /// Whether the shard has not served since. `revision`: the one that pods are to have now; none:
    /// Kubernetes has not seen the last change yet. With the same revision as then nothing was
    /// restarted: to the API server, nothing differed.
    pub fn is_taken(&self, revision: Option<&str>, info: Option<&ShardInfo>) -> bool {
        let is_later = info.is_some_and(|info| info.incarnation > self.incarnation);
        revision != Some(self.revision.as_str()) && !is_later
    }
}

impl fmt::Display for Restarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.revision, self.incarnation)
    }
}

/// Text that nobody of us wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no revision with an incarnation")]
pub struct BadRestarted;

impl FromStr for Restarted {
    type Err = BadRestarted;

    fn from_str(text: &str) -> Result<Self, BadRestarted> {
        let (revision, incarnation) = text.split_once('/').ok_or(BadRestarted)?;
        Ok(Self {
            revision: revision.to_owned(),
            incarnation: incarnation.parse().map_err(|_| BadRestarted)?,
        })
    }
}
