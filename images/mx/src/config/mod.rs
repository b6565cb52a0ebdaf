//! What an MX process is told, and the bounds it keeps.

mod limits;
mod timeouts;

use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Key, Problem, Settings};
use kit::listener::{ListenAt, Network};
use kit::rpc::directory::BadReplica;
use kit::rpc::{Replica, ReplicaList};
use kit::tls::IdentityFiles;
use serde::{Deserialize, Serialize};

pub use limits::{Limits, SpoolLimits};
pub use timeouts::Timeouts;

/// Everything that `run` needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The name in the greeting and in Received.
    pub hostname: String,
    /// Identity folder (`ca.pem`, `cert.pem`, `key.pem`) of tier mx.
    pub identity: PathBuf,
    /// Which of several identities in the folder; none: it holds one.
    pub instance: Option<String>,
    /// The directory's replicas, at least one.
    pub directory: Vec<Replica>,
    /// A file that lists them instead; it is read again when it changes.
    pub directory_file: Option<PathBuf>,
    /// The volume: spool, and bodies too large for memory.
    pub data: PathBuf,
    /// Where SMTP listens.
    pub smtp_listen: ListenAt,
    /// Where SMTP listens behind a balancer that begins each connection with a PROXY header (version
    /// 2), if at all.
    pub smtp_proxied_listen: Option<ListenAt>,
    /// The networks of such balancers; whoever else connects there is dropped.
    pub proxy_trusted: Vec<Network>,
    /// Where LMTP listens, if at all.
    pub lmtp_listen: Option<ListenAt>,
    /// LMTP over TLS from the first octet, for clients with a certificate of the cluster's CA.
    /// Without it LMTP stays on loopback.
    pub lmtp_client_certificates: bool,
    /// Where administrators reach the spool, by mutual TLS.
    pub rpc_listen: ListenAt,
    /// The certificate chain for STARTTLS, PEM; none: it is not offered.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Bounds.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Of the spool.
    pub spool: SpoolLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: String::new(),
            identity: PathBuf::new(),
            instance: None,
            directory: Vec::new(),
            directory_file: None,
            data: PathBuf::new(),
            smtp_listen: ListenAt::Everywhere(25),
            smtp_proxied_listen: None,
            proxy_trusted: Vec::new(),
            lmtp_listen: None,
            lmtp_client_certificates: false,
            rpc_listen: ListenAt::Everywhere(RPC_PORT),
            tls_cert: None,
            tls_key: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            spool: SpoolLimits::default(),
        }
    }
}

impl Config {
    /// LMTP trusts its clients, so that only certificates let them in from elsewhere. The address
    /// that breaks this rule.
    pub(crate) fn exposed_lmtp(&self) -> Option<ListenAt> {
        let elsewhere = self.lmtp_listen.filter(|lmtp| !lmtp.is_loopback());
        elsewhere.filter(|_| !self.lmtp_client_certificates)
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

/// Beside the directory's 7400.
const RPC_PORT: u16 = 7425;

impl Settings for Config {
    const KEYS: &'static [Key] = &[
        Key::new("hostname", "NAME", "Name in the greeting and in Received"),
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
        Key::new("data", "DIR", "Folder for the spool"),
        Key::new("smtp-listen", "ADDRESS:PORT|*:PORT", "Where SMTP listens"),
        Key::new(
            "smtp-proxied-listen",
            "ADDRESS:PORT|*:PORT",
            "Where SMTP listens behind a balancer that speaks PROXY v2, if at all",
        ),
        Key::new(
            "proxy-trusted",
            "ADDRESS/BITS,…",
            "Networks of these balancers; no one else may connect there",
        ),
        Key::new(
            "lmtp-listen",
            "ADDRESS:PORT|*:PORT",
            "Where LMTP listens, if at all",
        ),
        Key::new(
            "lmtp-client-certificates",
            "true|false",
            "LMTP over TLS, for clients with a certificate of the cluster",
        ),
        Key::new(
            "rpc-listen",
            "ADDRESS:PORT|*:PORT",
            "Where administrators reach the spool",
        ),
        Key::new("tls-cert", "FILE", "Certificate chain for STARTTLS, PEM"),
        Key::new("tls-key", "FILE", "Its key, PEM"),
        Key::new("limits.max-message-size", "SIZE", "The largest message"),
        Key::new("limits.max-recipients", "N", "Recipients of a transaction"),
        Key::new(
            "limits.max-unknown",
            "N",
            "Unknown recipients until we close",
        ),
        Key::new("limits.max-errors", "N", "Refused commands until we close"),
        Key::new(
            "limits.max-received",
            "N",
            "Received fields that are a loop",
        ),
        Key::new("limits.max-connections", "N", "Connections of each port"),
        Key::new(
            "limits.max-per-address",
            "N",
            "Of these from one client address",
        ),
        Key::new("limits.max-deliveries", "N", "Deliveries to shards at once"),
        Key::new(
            "limits.max-follows",
            "N",
            "How often a moved account is followed",
        ),
        Key::new(
            "limits.body-memory",
            "SIZE",
            "Memory for all messages coming in",
        ),
        Key::new("limits.body-memory-each", "SIZE", "Of this for one message"),
        Key::new("limits.body-disk", "SIZE", "Disk for messages coming in"),
        Key::new(
            "limits.remembered",
            "N",
            "Recipients known without a directory",
        ),
        Key::new("timeouts.command", "DURATION", "Silence between commands"),
        Key::new("timeouts.data", "DURATION", "Silence within a message"),
        Key::new(
            "timeouts.write",
            "DURATION",
            "For a client to take our replies",
        ),
        Key::new("timeouts.handshake", "DURATION", "For a TLS handshake"),
        Key::new(
            "timeouts.wait-for-shard",
            "DURATION",
            "While a shard has just gone, until its mail is spooled",
        ),
        Key::new(
            "timeouts.spool-after",
            "DURATION",
            "For shards, before we spool",
        ),
        Key::new("timeouts.lmtp-answer", "DURATION", "For LMTP's answer"),
        Key::new(
            "timeouts.spool-attempt",
            "DURATION",
            "For one attempt from the spool",
        ),
        Key::new("timeouts.session", "DURATION", "Of a whole session"),
        Key::new("spool.max-bytes", "SIZE", "What the spool may hold"),
        Key::new(
            "spool.min-free-percent",
            "N",
            "Of the volume, below which the spool takes nothing",
        ),
        Key::new("spool.max-entries", "N", "Messages that the spool may hold"),
        Key::new(
            "spool.first-wait",
            "DURATION",
            "Before the second attempt; doubles",
        ),
        Key::new("spool.longest-wait", "DURATION", "Between two attempts"),
        Key::new(
            "spool.lifetime",
            "DURATION",
            "Until a message is a dead letter",
        ),
    ];

    fn check(&self) -> Vec<Problem> {
        let empty = |path: &PathBuf| path.as_os_str().is_empty();
        let hostname = self.hostname.parse::<wire::address::Domain>();
        let checks = [
            (
                "hostname",
                hostname.is_err(),
                "name a domain, for example mx.example.org",
            ),
            ("identity", empty(&self.identity), "name the folder"),
            ("data", empty(&self.data), "name the folder"),
            (
                "directory",
                self.replicas().is_err(),
                "name one replica at least, here or in directory-file",
            ),
            (
                "lmtp-listen",
                self.exposed_lmtp().is_some(),
                "stay on loopback, or set lmtp-client-certificates too",
            ),
            (
                "proxy-trusted",
                self.smtp_proxied_listen.is_some() == self.proxy_trusted.is_empty(),
                "goes with smtp-proxied-listen",
            ),
            (
                "tls-key",
                self.tls_cert.is_some() != self.tls_key.is_some(),
                "goes with tls-cert",
            ),
        ];
        let parts = [
            self.limits.checks(),
            self.spool.checks(),
            self.timeouts.checks(),
        ];
        let all = checks.into_iter().chain(parts.into_iter().flatten());
        let wrong = all.filter(|(_, is_wrong, _)| *is_wrong);
        wrong.map(|(key, _, why)| Problem::of(key, why)).collect()
    }
}

/// A key, whether its value is wrong, and what would be right.
type Check = (&'static str, bool, &'static str);

/// After the final dot every client has its answer within this.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use kit::config::{Program, forgotten_keys, load};

    use super::*;

    const PROGRAM: Program = Program {
        name: "buzonera-mx",
        about: "",
        version: "0",
    };

    fn load_with(flags: &[&str]) -> Result<Config, kit::config::ConfigError> {
        let args = [PROGRAM.name].iter().chain(flags).map(OsString::from);
        load(&PROGRAM, args)
    }

    const NEEDED: [&str; 4] = [
        "--hostname=mx.example",
        "--identity=i",
        "--data=d",
        "--directory=directory-0=[::1]:1",
    ];

    #[test]
    fn every_setting_has_a_flag() {
        assert_eq!(forgotten_keys::<Config>(), Vec::<String>::new());
    }

    #[test]
    fn what_is_needed_suffices() {
        let config = load_with(&NEEDED).unwrap();
        assert_eq!(config.lmtp_listen, None);
        assert_eq!(config.limits.max_message_size, 50 << 20);
        assert_eq!(config.limits.max_unknown, 20);
        assert_eq!(config.limits.max_recipients, 100);
        assert_eq!(config.limits.max_received, 100);
    }

    #[test]
    fn lmtp_stays_on_loopback_without_certificates() {
        let with = |more: &[&str]| load_with(&[&NEEDED[..], more].concat());
        with(&["--lmtp-listen=127.0.0.1:24"]).unwrap();
        let error = with(&["--lmtp-listen=192.0.2.1:24"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("--lmtp-listen"), "{error}");
        with(&[
            "--lmtp-listen=192.0.2.1:24",
            "--lmtp-client-certificates=true",
        ])
        .unwrap();
    }

    /// RFC 5321 section 4.5.3.2; and our answer comes within a minute of the final dot.
    #[test]
    fn no_timeout_is_shorter_than_clients_may_need() {
        for (key, least, below) in [
            ("timeouts-command", "300s", "299s"),
            ("timeouts-data", "180s", "179s"),
            ("timeouts-spool-after", "59s", "60s"),
            ("timeouts-lmtp-answer", "59s", "60s"),
        ] {
            let with = |value| load_with(&[&NEEDED[..], &[&format!("--{key}={value}")]].concat());
            with(least).unwrap();
            let error = with(below).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let timeouts = Timeouts::default();
        assert!(
            timeouts.command >= Duration::from_secs(300)
                && timeouts.data >= Duration::from_secs(180)
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let error = load_with(&["--hostname=a b", "--limits-max-recipients=99"]).unwrap_err();
        let error = error.to_string();
        for part in [
            "--hostname",
            "--identity",
            "--data",
            "--directory",
            "--limits-max-recipients",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
