//! What a storage process is told.

use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Problem, Settings};
use kit::listener::ListenAt;
use kit::rpc::directory::BadReplica;
use kit::rpc::{Host, Replica, ReplicaList};
use kit::tls::IdentityFiles;

use crate::pop3::Times;
use crate::registry::{self, reporter};
use crate::service::Limits;
use crate::{shard, volume};

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

kit::settings! {
    /// Everything that a shard needs. Its name is the instance of its identity.
    pub struct Config {
        /// Folder of its identity, of tier storage: ca.pem, cert.pem and key.pem.
        pub identity: PathBuf as "DIR",
        /// Use NAME.cert.pem and NAME.key.pem of that folder.
        pub instance: Option<String> as "NAME",
        /// The volume.
        pub data: PathBuf as "DIR",
        /// The directory's replicas.
        pub directory: Vec<Replica> as "INSTANCE=HOST:PORT,…",
        /// Instead: a file with one INSTANCE=HOST:PORT a line, read again when it changes.
        pub directory_file: Option<PathBuf> as "FILE",
        /// Where MX, directory and other shards connect.
        pub rpc_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(RPC_PORT),
        /// Where proxies connect.
        pub pop3_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(POP3_PORT),
        /// IP address or name that callers and proxies are told to connect to; none: where it
        /// listens.
        pub advertise: Option<Host> as "HOST",
        /// The machine's name, for administrators; none: as the machine calls itself.
        pub node: Option<String> as "NAME",
        /// How long an answer waits for the directory when the lease ran out.
        pub lease_patience: Duration as DURATION = LEASE_PATIENCE,
        /// Of the volume, in hundredths: when less is free, deliveries and imports stop.
        pub min_free_percent: u64 as "N" = MIN_FREE_PERCENT,
        /// Bounds of deliveries.
        pub limits: Limits as SECTION,
        /// Bounds and times of the shard itself.
        pub shard: shard::Settings as SECTION,
        /// The times of POP3.
        pub pop3: Times as SECTION,
        /// How long a start waits for a volume that another process still has.
        pub lock_patience: Duration as DURATION = LOCK_PATIENCE,
        /// Runs without serving: the volume is nobody's, so that it can be checked or repaired.
        pub stopped: bool as "true|false",
        /// For tests, which play several machines on one: what this start of the machine is called;
        /// none: as the kernel calls it.
        pub boot_id: Option<String> as "TEXT",
        /// See [`SPACE_EVERY`].
        pub space_every: Duration as HIDDEN = SPACE_EVERY,
        /// See [`registry::SILENCE`].
        pub watch_silence: Duration as HIDDEN = registry::SILENCE,
        /// See [`reporter::EVERY`].
        pub report_every: Duration as HIDDEN = reporter::EVERY,
        /// The heap's bounds, which belong to its format's measurements and not to a site.
        pub heap: segments::Options as HIDDEN,
        /// Opens the heap's folder: tests put a disk of their own between.
        pub open_heap: volume::OpenHeap as HIDDEN = volume::heap,
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

kit::settings! {
    /// What `rebuild-index` is told.
    pub struct RebuildConfig {
        /// The volume.
        pub data: PathBuf as "DIR",
    }
}

impl Settings for RebuildConfig {
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
