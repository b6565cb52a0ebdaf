//! What a storage process is told.

use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Key, Problem, Settings};
use kit::listener::ListenAt;
use kit::rpc::directory::BadReplica;
use kit::rpc::{Host, Replica, ReplicaList};
use kit::tls::IdentityFiles;
use serde::{Deserialize, Serialize};

use crate::pop3::Times;
use crate::registry::{self, reporter};
use crate::service::Limits;
use crate::shard;

/// A fast disk fills 5 % of a small volume in more than this.
pub const SPACE_EVERY: Duration = Duration::from_secs(2);

/// How long an answer waits for the directory when the lease ran out: two of the keeper's
/// questions, and less than callers wait.
pub const LEASE_PATIENCE: Duration = Duration::from_secs(5);

/// A process that was asked to stop is gone by then; a volume that still is locked is in use.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// At 95 % full, deliveries and imports stop.
pub const MIN_FREE_PERCENT: u64 = 5;

/// Where MX, directory and other shards connect; no other tier uses it.
const RPC_PORT: u16 = 7410;

/// Where proxies connect.
const POP3_PORT: u16 = 7411;

/// Everything that a shard needs. Its name is the instance of its identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The identity folder (ca.pem, cert.pem, key.pem) of tier storage.
    pub identity: PathBuf,
    /// Which of several identities in the folder; none: it holds one.
    pub instance: Option<String>,
    /// The volume.
    pub data: PathBuf,
    /// The directory's replicas, at least one.
    pub directory: Vec<Replica>,
    /// A file that lists them instead; it is read again when it changes.
    pub directory_file: Option<PathBuf>,
    /// Where MX, directory and other shards connect.
    pub rpc_listen: ListenAt,
    /// Where proxies connect.
    pub pop3_listen: ListenAt,
    /// The host that callers and proxies are told to connect to; none: where it listens.
    pub advertise: Option<Host>,
    /// The machine's name as administrators are told; none: as the machine calls itself.
    pub node: Option<String>,
    /// See [`LEASE_PATIENCE`].
    #[serde(with = "kit::config::duration")]
    pub lease_patience: Duration,
    /// See [`MIN_FREE_PERCENT`].
    pub min_free_percent: u64,
    /// Bounds of deliveries.
    pub limits: Limits,
    /// Bounds and times of the shard itself.
    pub shard: shard::Settings,
    /// The times of POP3.
    pub pop3: Times,
    /// How long a start waits for a volume that another process still has.
    #[serde(with = "kit::config::duration")]
    pub lock_patience: Duration,
    /// What this start of the machine is called; `None`: as the kernel calls it. Tests play several
    /// machines on one with it.
    pub boot_id: Option<String>,
    /// See [`SPACE_EVERY`].
    #[serde(skip)]
    pub space_every: Duration,
    /// See [`registry::SILENCE`].
    #[serde(skip)]
    pub watch_silence: Duration,
    /// See [`reporter::EVERY`].
    #[serde(skip)]
    pub report_every: Duration,
    /// The heap's bounds, which belong to its format's measurements and not to a site.
    #[serde(skip)]
    pub heap: segments::Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: PathBuf::new(),
            instance: None,
            data: PathBuf::new(),
            directory: Vec::new(),
            directory_file: None,
            rpc_listen: ListenAt::Everywhere(RPC_PORT),
            pop3_listen: ListenAt::Everywhere(POP3_PORT),
            advertise: None,
            node: None,
            lease_patience: LEASE_PATIENCE,
            min_free_percent: MIN_FREE_PERCENT,
            limits: Limits::default(),
            shard: shard::Settings::default(),
            pop3: Times::default(),
            lock_patience: LOCK_PATIENCE,
            boot_id: None,
            space_every: SPACE_EVERY,
            watch_silence: registry::SILENCE,
            report_every: reporter::EVERY,
            heap: segments::Options::default(),
        }
    }
}

impl Config {
    /// The defaults, with what has none.
    pub fn new(
        identity: PathBuf,
        data: PathBuf,
        directory: Vec<Replica>,
        rpc_listen: impl Into<ListenAt>,
        pop3_listen: impl Into<ListenAt>,
    ) -> Self {
        Self {
            identity,
            data,
            directory,
            rpc_listen: rpc_listen.into(),
            pop3_listen: pop3_listen.into(),
            ..Self::default()
        }
    }

    /// Where its identity lies.
    pub fn identity_files(&self) -> IdentityFiles {
        IdentityFiles::new(&self.identity, self.instance.as_deref())
    }

    /// Where the list of directory replicas is.
    pub fn replicas(&self) -> Result<ReplicaList, BadReplica> {
        ReplicaList::of_settings(&self.directory, self.directory_file.as_ref())
    }
}

impl Settings for Config {
    const KEYS: &'static [Key] = &[
        Key::new(
            "identity",
            "DIR",
            "Folder with ca.pem, cert.pem and key.pem",
        ),
        Key::new(
            "instance",
            "NAME",
            "Use NAME.cert.pem and NAME.key.pem of that folder",
        ),
        Key::new("data", "DIR", "The volume"),
        Key::new(
            "directory",
            "INSTANCE=HOST:PORT,…",
            "The directory's replicas",
        ),
        Key::new(
            "directory-file",
            "FILE",
            "Instead: a file with one INSTANCE=HOST:PORT a line, read again when it changes",
        ),
        Key::new(
            "rpc-listen",
            "ADDRESS:PORT|*:PORT",
            "Where MX, directory and other shards connect",
        ),
        Key::new(
            "pop3-listen",
            "ADDRESS:PORT|*:PORT",
            "Where proxies connect",
        ),
        Key::new(
            "advertise",
            "HOST",
            "IP address or name that others are told to connect to",
        ),
        Key::new("node", "NAME", "The machine's name, for administrators"),
        Key::new(
            "lock-patience",
            "DURATION",
            "How long a start waits for a volume that another process still has",
        ),
        Key::new(
            "boot-id",
            "TEXT",
            "For tests: what this start of the machine is called",
        ),
        Key::new(
            "lease-patience",
            "DURATION",
            "How long an answer waits for a lost lease",
        ),
        Key::new(
            "min-free-percent",
            "N",
            "Below this, the volume takes no more mail",
        ),
        Key::new(
            "limits.body-memory",
            "SIZE",
            "Memory for bodies that come in",
        ),
        Key::new("limits.max-body", "SIZE", "The largest body"),
        Key::new(
            "limits.memory-patience",
            "DURATION",
            "How long a delivery waits for memory",
        ),
        Key::new(
            "limits.part-patience",
            "DURATION",
            "How long a delivery may pause",
        ),
        Key::new("shard.kept-accounts", "N", "Accounts kept in memory"),
        Key::new(
            "shard.patience",
            "DURATION",
            "How long a write waits for a fence to end",
        ),
        Key::new(
            "shard.remembered",
            "DURATION",
            "How long delivery ids are remembered",
        ),
        Key::new(
            "shard.checkpoint-bytes",
            "SIZE",
            "Heap written between syncs of the index",
        ),
        Key::new(
            "pop3.idle",
            "DURATION",
            "A silent client is logged out; 10m at least by RFC 1939",
        ),
        Key::new(
            "pop3.login",
            "DURATION",
            "From connecting to the end of AUTH",
        ),
        Key::new(
            "pop3.write",
            "DURATION",
            "How long a client may take to accept octets",
        ),
        Key::new(
            "pop3.keep-alive-idle",
            "DURATION",
            "Silence before a peer is probed",
        ),
        Key::new("pop3.keep-alive-interval", "DURATION", "Between two probes"),
        Key::new(
            "pop3.keep-alive-probes",
            "N",
            "Unanswered probes until the peer is dead",
        ),
        Key::new(
            "pop3.user-timeout",
            "DURATION",
            "Sent and not acknowledged for so long: the peer is dead",
        ),
    ];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut missing = |key: &'static str, is_missing: bool, what: &str| {
            if is_missing {
                problems.push(Problem::of(key, what));
            }
        };
        missing(
            "identity",
            self.identity.as_os_str().is_empty(),
            "is needed",
        );
        missing("data", self.data.as_os_str().is_empty(), "is needed");
        missing(
            "directory",
            self.replicas().is_err(),
            "name one replica at least, here or in directory-file",
        );
        let vague = self.rpc_listen.is_unspecified() || self.pop3_listen.is_unspecified();
        missing(
            "advertise",
            vague && self.advertise.is_none(),
            "is needed when it listens on all addresses: nobody can connect to those",
        );
        problems.extend(self.pop3.check());
        problems
    }
}

/// What `rebuild-index` is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RebuildConfig {
    /// The volume.
    pub data: PathBuf,
}

impl Settings for RebuildConfig {
    const KEYS: &'static [Key] = &[Key::new("data", "DIR", "The volume")];

    fn check(&self) -> Vec<Problem> {
        match self.data.as_os_str().is_empty() {
            true => vec![Problem::of("data", "is needed")],
            false => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_flag() {
        let forgotten = kit::config::forgotten_keys::<Config>();
        assert_eq!(forgotten, Vec::<String>::new());
    }

    #[test]
    fn times_of_pop3_come_by_file_and_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("storage.toml");
        let text = "[pop3]\nidle = \"11m\"\nkeep-alive-probes = 2\n";
        std::fs::write(&file, text).unwrap();
        let program = kit::config::Program {
            name: "storage",
            about: "",
            version: "",
        };
        let given = |flags: &[&str]| {
            let config = format!("--config={}", file.display());
            let always = [
                "storage",
                "--identity=i",
                "--data=d",
                "--directory=dir-0=localhost:1",
                "--rpc-listen=127.0.0.1:1",
                "--pop3-listen=127.0.0.1:2",
            ];
            let args = always.iter().chain(flags).map(|flag| flag.to_string());
            kit::config::load::<Config>(&program, args.chain([config]).map(Into::into))
        };
        let config = given(&["--pop3-user-timeout", "7s", "--pop3-keep-alive-idle=2s"]).unwrap();
        assert_eq!(config.pop3.idle, Duration::from_secs(660));
        assert_eq!(config.pop3.login, crate::pop3::times::LOGIN);
        let keep_alive = config.pop3.keep_alive();
        assert_eq!(keep_alive.probes, 2);
        assert_eq!(keep_alive.idle, Duration::from_secs(2));
        assert_eq!(keep_alive.user_timeout, Duration::from_secs(7));
        let error = given(&["--pop3-keep-alive-interval=200ms", "--pop3-login=0s"]);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("2 settings"), "{error}");
        assert!(error.contains("--pop3-keep-alive-interval"), "{error}");
    }

    #[test]
    fn says_all_that_is_missing() {
        let problems = Config::default().check();
        assert_eq!(problems.len(), 4, "{problems:?}");
    }
}
