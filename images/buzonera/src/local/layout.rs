//! Where everything of a `buzonera local` lies.

use std::path::{Path, PathBuf};

use wire::ids::ShardName;

/// The data folder. Nothing else knows a path in it.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder given with --data; it need not exist yet.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// As given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Locked while a process uses the folder; holds its process id.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where the running process can be reached, for `buzonera --data`.
    pub fn running(&self) -> PathBuf {
        self.root.join("running.json")
    }

    /// The CA's certificate, for clients: `curl --cacert`.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The CA with its key.
    pub fn authority(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// The identity folder of one instance, a shard or an administrator.
    pub fn identity(&self, instance: &str) -> PathBuf {
        self.root.join("identities").join(instance)
    }

    /// The certificate for mail clients, from our own CA.
    pub fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    /// The directory's store.
    pub fn directory(&self) -> PathBuf {
        self.root.join("directory")
    }

    /// All shards' volumes.
    pub fn shards(&self) -> PathBuf {
        self.root.join("shards")
    }

    /// One shard's volume.
    pub fn shard(&self, name: &ShardName) -> PathBuf {
        self.shards().join(name.as_str())
    }

    /// MX's spool.
    pub fn mx(&self) -> PathBuf {
        self.root.join("mx")
    }
}
