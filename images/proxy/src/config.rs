//! What a proxy is told.

use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Problem, Settings};
use kit::listener::{KeepAlive, ListenAt, MAX_CONNECTIONS, MAX_PER_ADDRESS, Network};
use kit::rpc::directory::BadReplica;
use kit::rpc::{Replica, ReplicaList};
use kit::tls::IdentityFiles;

use crate::throttle::Rules;

kit::settings! {
    /// A proxy's configuration.
    pub struct Config {
        /// Identity folder: ca.pem, cert.pem and key.pem.
        pub identity: PathBuf as "DIR",
        /// Use NAME.cert.pem and NAME.key.pem of that folder.
        pub instance: Option<String> as "NAME",
        /// Folder of certificates shown to mail clients: cert.pem with key.pem, and NAME.cert.pem
        /// with NAME.key.pem for other host names.
        pub tls: PathBuf as "DIR",
        /// The directory's replicas.
        pub directory: Vec<Replica> as "INSTANCE=HOST:PORT,…",
        /// Instead: a file with one INSTANCE=HOST:PORT a line, read again when it changes.
        pub directory_file: Option<PathBuf> as "FILE",
        /// Where mail clients connect and say STLS.
        pub pop3_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(110),
        /// Where mail clients connect by TLS.
        pub pop3s_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(995),
        /// As pop3-listen, behind a balancer that begins each connection with a PROXY header
        /// (version 2), if at all.
        pub pop3_proxied_listen: Option<ListenAt> as "ADDRESS:PORT|*:PORT",
        /// As pop3s-listen, likewise.
        pub pop3s_proxied_listen: Option<ListenAt> as "ADDRESS:PORT|*:PORT",
        /// The networks of such balancers; whoever else connects there is dropped.
        pub proxy_trusted: Vec<Network> as "ADDRESS/BITS,…",
        /// Bounds and times.
        pub limits: Limits as SECTION,
        /// Waits after failed logins.
        pub throttle: Rules as SECTION,
    }
}

kit::settings! {
    /// What a proxy bounds.
    pub struct Limits {
        /// Connections at the same time, of each port.
        pub max_connections: usize as "N" = MAX_CONNECTIONS,
        /// Of these from one client address (IPv6: one /64).
        pub max_per_address: usize as "N" = MAX_PER_ADDRESS,
        /// Sessions of one account at the same time.
        pub max_per_user: usize as "N" = MAX_PER_USER,
        /// Failed logins until a connection closes.
        pub max_failed_logins: u32 as "N" = MAX_FAILED_LOGINS,
        /// From connecting to login, without the waits that the proxy imposes.
        pub login: Duration as DURATION = LOGIN,
        /// For connecting to a shard and being let in.
        pub handover: Duration as DURATION = HANDOVER,
        /// After login: for any octet in either direction.
        pub idle: Duration as DURATION = IDLE,
        /// After login: for a side to accept octets.
        pub write: Duration as DURATION = WRITE,
        /// How a client that is gone is noticed; not for the file, because POP3's promise to free a
        /// dead client's lock within 60 s hangs on it.
        pub keep_alive: KeepAlive as HIDDEN,
    }
}

/// POP3 locks a mailbox: a second session is refused by the shard anyway. Some clients open the
/// next before the last has ended.
const MAX_PER_USER: usize = 4;

/// Three typing errors; a mail client reconnects for more.
const MAX_FAILED_LOGINS: u32 = 3;

/// Programs log in within a second or two, people at a terminal within a minute.
const LOGIN: Duration = Duration::from_secs(60);

/// Two round trips and a look into the index; a shard that is slower is in trouble, and mail
/// clients give up after 30 s or more.
const HANDOVER: Duration = Duration::from_secs(20);

/// A minute above the shard's own 10 (RFC 1939 section 3), so that the shard decides.
const IDLE: Duration = Duration::from_secs(660);

/// As the shard's: 16 KB in it are 140 octets a second.
const WRITE: Duration = Duration::from_secs(120);

impl Config {
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
        let missing = [
            (
                "identity",
                self.identity.as_os_str().is_empty(),
                "name the folder",
            ),
            ("tls", self.tls.as_os_str().is_empty(), "name the folder"),
            (
                "directory",
                self.replicas().is_err(),
                "name one replica at least, here or in directory-file",
            ),
        ];
        let proxied = [self.pop3_proxied_listen, self.pop3s_proxied_listen];
        let proxied = proxied.iter().any(Option::is_some);
        let trusted = (proxied == self.proxy_trusted.is_empty()).then(|| {
            Problem::of(
                "proxy-trusted",
                "goes with pop3-proxied-listen or pop3s-proxied-listen",
            )
        });
        let limits = &self.limits;
        let zero = [
            ("limits.max-connections", limits.max_connections == 0),
            ("limits.max-per-address", limits.max_per_address == 0),
            ("limits.max-per-user", limits.max_per_user == 0),
            ("limits.max-failed-logins", limits.max_failed_logins == 0),
            ("limits.login", limits.login.is_zero()),
            ("limits.handover", limits.handover.is_zero()),
            ("limits.write", limits.write.is_zero()),
            ("throttle.forgive", self.throttle.forgive.is_zero()),
        ];
        // RFC 1939 section 3.
        let short = (limits.idle < MIN_IDLE).then(|| Problem::of("limits.idle", "10m at least"));
        let missing = missing.into_iter().filter(|(_, is, _)| *is);
        let zero = zero.into_iter().filter(|(_, is)| *is);
        missing
            .map(|(key, _, what)| Problem::of(key, what))
            .chain(zero.map(|(key, _)| Problem::of(key, "must be above 0")))
            .chain(short)
            .chain(trusted)
            .collect()
    }
}

const MIN_IDLE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use kit::config::{Program, load};

    use super::*;

    const PROGRAM: Program = Program {
        name: "buzonera-proxy",
        about: "",
        version: "0",
    };

    fn load_flags(flags: &str) -> Result<Config, String> {
        let args = flags.split_whitespace().map(Into::into);
        load(
            &PROGRAM,
            std::iter::once("buzonera-proxy".into()).chain(args),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_reach_every_part() {
        let config = load_flags(
            "--identity id --tls t --directory directory-0=a:1,directory-1=b:2 \
             --limits-idle 20m --throttle-pair-free 7",
        )
        .unwrap();
        assert_eq!(config.directory[1].endpoint, "b:2");
        assert_eq!(config.limits.idle, Duration::from_secs(1200));
        assert_eq!(config.throttle.pair_free, 7);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let error = load_flags("--limits-idle 1s --limits-max-per-user 0").unwrap_err();
        for flag in ["--identity", "(--tls)", "--directory", "--limits-idle"] {
            assert!(error.contains(flag), "{flag}: {error}");
        }
        assert!(error.contains("--limits-max-per-user"), "{error}");
    }
}
