//! What an MX process is told, and the bounds it keeps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Key, Problem, Settings};
use kit::rpc::Replica;
use serde::{Deserialize, Serialize};

use crate::spool;

/// Everything that `run` needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The name in the greeting and in Received.
    pub hostname: String,
    /// Identity folder (`ca.pem`, `cert.pem`, `key.pem`) of tier mx.
    pub identity: PathBuf,
    /// The directory's replicas, at least one.
    pub directory: Vec<Replica>,
    /// The volume: spool, and bodies too large for memory.
    pub data: PathBuf,
    /// Where SMTP listens.
    pub smtp_listen: SocketAddr,
    /// Where LMTP listens, if at all.
    pub lmtp_listen: Option<SocketAddr>,
    /// LMTP over TLS from the first octet, for clients with a certificate of the cluster's CA.
    /// Without it LMTP stays on loopback.
    pub lmtp_client_certificates: bool,
    /// Where administrators reach the spool, by mutual TLS.
    pub rpc_listen: SocketAddr,
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

/// Bounds; the constants below say why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Octets of a message.
    #[serde(with = "kit::config::size")]
    pub max_message_size: u64,
    /// Recipients of a transaction.
    pub max_recipients: usize,
    /// Unknown recipients of a session.
    pub max_unknown: u32,
    /// Refused commands of a session.
    pub max_errors: u32,
    /// Received fields that are taken for a loop.
    pub max_received: u32,
    /// Connections of a listener.
    pub max_connections: usize,
    /// Of these from one client address (IPv6: one /64).
    pub max_per_address: usize,
    /// Deliver calls at once.
    pub max_deliveries: usize,
    /// How often a copy follows an account that moved.
    pub max_follows: usize,
    /// Octets of all bodies in memory.
    #[serde(with = "kit::config::size")]
    pub body_memory: u64,
    /// Octets of one body in memory; the rest goes to the volume.
    #[serde(with = "kit::config::size")]
    pub body_memory_each: u64,
    /// Octets of all bodies on the volume, the spool's not counted.
    #[serde(with = "kit::config::size")]
    pub body_disk: u64,
    /// Recipients remembered for when no directory replica answers.
    pub remembered: usize,
}

/// More than the large providers take.
const MAX_MESSAGE_SIZE: u64 = 50 << 20;
/// What RFC 5321 section 4.5.3.1.8 asks for.
const MAX_RECIPIENTS: usize = 100;
/// A dictionary attack, not a typing error.
const MAX_UNKNOWN: u32 = 20;
/// A confused client stops long before.
const MAX_ERRORS: u32 = 20;
/// What RFC 5321 section 6.3 asks for at least.
const MAX_RECEIVED: u32 = 100;
/// Some 50 KB each in a transaction: 100 MB for a full house.
const MAX_CONNECTIONS: usize = 2000;
/// More only queue up at the shards.
const MAX_DELIVERIES: usize = 256;
/// A move in between is one, a race with the next is two.
const MAX_FOLLOWS: usize = 3;
/// A quarter of what a small pod has.
const BODY_MEMORY: u64 = 256 << 20;
/// 99 of 100 messages fit (WORKLOAD: P99 is 841 KB).
const BODY_MEMORY_EACH: u64 = 1 << 20;
/// A fifth of the volume that the chart asks for.
const BODY_DISK: u64 = 4 << 30;
/// Some 300 octets each: 30 MB.
const REMEMBERED: usize = 100_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: MAX_MESSAGE_SIZE,
            max_recipients: MAX_RECIPIENTS,
            max_unknown: MAX_UNKNOWN,
            max_errors: MAX_ERRORS,
            max_received: MAX_RECEIVED,
            max_connections: MAX_CONNECTIONS,
            max_per_address: kit::listener::MAX_PER_ADDRESS,
            max_deliveries: MAX_DELIVERIES,
            max_follows: MAX_FOLLOWS,
            body_memory: BODY_MEMORY,
            body_memory_each: BODY_MEMORY_EACH,
            body_disk: BODY_DISK,
            remembered: REMEMBERED,
        }
    }
}

/// How long things may take. None of the client's is shorter than RFC 5321 section 4.5.3.2 asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// Silence while a command is awaited.
    #[serde(with = "kit::config::duration")]
    pub command: Duration,
    /// Silence within a body.
    #[serde(with = "kit::config::duration")]
    pub data: Duration,
    /// A client that does not take our replies.
    #[serde(with = "kit::config::duration")]
    pub write: Duration,
    /// A TLS handshake.
    #[serde(with = "kit::config::duration")]
    pub handshake: Duration,
    /// After our last line, until a client that still sends is cut off.
    #[serde(with = "kit::config::duration")]
    pub linger: Duration,
    /// After the final dot, until what is not yet stored goes to the spool.
    #[serde(with = "kit::config::duration")]
    pub spool_after: Duration,
    /// After the final dot, until LMTP's answer, which never spools.
    #[serde(with = "kit::config::duration")]
    pub lmtp_answer: Duration,
    /// For one attempt to deliver what is spooled.
    #[serde(with = "kit::config::duration")]
    pub spool_attempt: Duration,
    /// Of a whole session.
    #[serde(with = "kit::config::duration")]
    pub session: Duration,
}

/// RFC 5321 section 4.5.3.2.7.
const COMMAND: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 section 4.5.3.2.5 asks for 3 minutes.
const DATA: Duration = Duration::from_secs(5 * 60);
/// The kernel takes a reply at once unless the client reads none.
const WRITE: Duration = Duration::from_secs(5 * 60);
/// A few round trips across the world, with losses.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// Time for our last line to arrive.
const LINGER: Duration = Duration::from_secs(2);
/// With the spool's sync the answer comes well within 60 s.
const SPOOL_AFTER: Duration = Duration::from_secs(30);
/// Within 60 s too.
const LMTP_ANSWER: Duration = Duration::from_secs(50);
/// The largest message over a slow link; the spool's own limit, 5 minutes, is above it.
const SPOOL_ATTEMPT: Duration = Duration::from_secs(120);
/// A client that drips octets holds a place no longer than this.
const SESSION: Duration = Duration::from_secs(4 * 3600);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: COMMAND,
            data: DATA,
            write: WRITE,
            handshake: HANDSHAKE,
            linger: LINGER,
            spool_after: SPOOL_AFTER,
            lmtp_answer: LMTP_ANSWER,
            spool_attempt: SPOOL_ATTEMPT,
            session: SESSION,
        }
    }
}

/// What the spool may hold, and when it tries again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SpoolLimits {
    /// Octets on the volume.
    #[serde(with = "kit::config::size")]
    pub max_bytes: u64,
    /// Messages.
    pub max_entries: usize,
    /// Wait before the second attempt; it doubles.
    #[serde(with = "kit::config::duration")]
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    #[serde(with = "kit::config::duration")]
    pub longest_wait: Duration,
    /// After so long a message becomes a dead letter.
    #[serde(with = "kit::config::duration")]
    pub lifetime: Duration,
}

impl Default for SpoolLimits {
    /// The spool's own; it says why.
    fn default() -> Self {
        let config = spool::Config::default();
        let duration = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        Self {
            max_bytes: config.max_bytes,
            max_entries: config.max_entries,
            first_wait: duration(config.schedule.first_ms),
            longest_wait: duration(config.schedule.longest_ms),
            lifetime: duration(config.schedule.lifetime_ms),
        }
    }
}

impl SpoolLimits {
    /// As the spool takes it.
    pub(crate) fn to_spool(&self) -> spool::Config {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let config = spool::Config::default();
        spool::Config {
            max_bytes: self.max_bytes,
            max_entries: self.max_entries,
            schedule: spool::Schedule {
                first_ms: ms(self.first_wait),
                longest_ms: ms(self.longest_wait),
                lifetime_ms: ms(self.lifetime),
                ..config.schedule
            },
            ..config
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        Self {
            hostname: String::new(),
            identity: PathBuf::new(),
            directory: Vec::new(),
            data: PathBuf::new(),
            smtp_listen: SocketAddr::new(any, 25),
            lmtp_listen: None,
            lmtp_client_certificates: false,
            rpc_listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), RPC_PORT),
            tls_cert: None,
            tls_key: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            spool: SpoolLimits::default(),
        }
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
            "directory",
            "INSTANCE=HOST:PORT,…",
            "The directory's replicas",
        ),
        Key::new("data", "DIR", "Folder for the spool"),
        Key::new("smtp-listen", "ADDRESS:PORT", "Where SMTP listens"),
        Key::new(
            "lmtp-listen",
            "ADDRESS:PORT",
            "Where LMTP listens, if at all",
        ),
        Key::new(
            "lmtp-client-certificates",
            "true|false",
            "LMTP over TLS, for clients with a certificate of the cluster",
        ),
        Key::new(
            "rpc-listen",
            "ADDRESS:PORT",
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
        Key::new("timeouts.linger", "DURATION", "For our last line to arrive"),
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
        let elsewhere = self
            .lmtp_listen
            .is_some_and(|lmtp| !lmtp.ip().is_loopback());
        let (limits, timeouts) = (&self.limits, &self.timeouts);
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
                self.directory.is_empty(),
                "name one replica at least",
            ),
            (
                "lmtp-listen",
                elsewhere && !self.lmtp_client_certificates,
                "stay on loopback, or set lmtp-client-certificates too",
            ),
            (
                "tls-key",
                self.tls_cert.is_some() != self.tls_key.is_some(),
                "goes with tls-cert",
            ),
            // RFC 5321 sections 4.5.3.1.7 and 4.5.3.1.8.
            (
                "limits.max-message-size",
                limits.max_message_size < 64 << 10,
                "64KiB at least",
            ),
            (
                "limits.max-recipients",
                limits.max_recipients < MAX_RECIPIENTS,
                "100 at least",
            ),
            (
                "limits.max-received",
                limits.max_received < MAX_RECEIVED,
                "100 at least",
            ),
            (
                "limits.max-connections",
                limits.max_connections == 0,
                "must be above 0",
            ),
            (
                "limits.max-per-address",
                limits.max_per_address == 0,
                "must be above 0",
            ),
            (
                "limits.max-deliveries",
                limits.max_deliveries == 0,
                "must be above 0",
            ),
            (
                "timeouts.command",
                timeouts.command < COMMAND,
                "5m at least (RFC 5321)",
            ),
            (
                "timeouts.data",
                timeouts.data < Duration::from_secs(180),
                "3m at least (RFC 5321)",
            ),
            (
                "timeouts.spool-after",
                timeouts.spool_after >= ANSWER,
                "below 1m",
            ),
            (
                "timeouts.lmtp-answer",
                timeouts.lmtp_answer >= ANSWER,
                "below 1m",
            ),
        ];
        let wrong = checks.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
        wrong.map(|(key, _, why)| Problem::of(key, why)).collect()
    }
}

/// After the final dot every client has its answer within this.
const ANSWER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use kit::config::{Program, forgotten_keys, load};

    use super::*;

    const PROGRAM: Program = Program {
        name: "palomar-mx",
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
