//! What a proxy is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kit::listener::{KeepAlive, MAX_CONNECTIONS, MAX_PER_ADDRESS};
use kit::rpc::Replica;

use crate::throttle::Rules;

/// A proxy's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Identity folder: `ca.pem`, `cert.pem`, `key.pem`.
    pub identity: PathBuf,
    /// Certificate chain shown to mail clients.
    pub tls_cert: PathBuf,
    /// Its key.
    pub tls_key: PathBuf,
    /// The directory's replicas.
    pub directory: Vec<Replica>,
    /// Where mail clients connect and say STLS.
    pub pop3_listen: SocketAddr,
    /// Where mail clients connect by TLS.
    pub pop3s_listen: SocketAddr,
    /// Bounds and times.
    pub limits: Limits,
}

/// What a proxy bounds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same time, each of the two ports.
    pub max_connections: usize,
    /// Of these from one client address (IPv6: one /64).
    pub max_per_address: usize,
    /// Sessions of one account at the same time.
    pub max_per_user: usize,
    /// Failed logins until a connection closes.
    pub max_failed_logins: u32,
    /// From connecting to login, without the waits that the proxy imposes.
    pub login: Duration,
    /// For connecting to a shard and being let in.
    pub handover: Duration,
    /// After login: for any octet in either direction.
    pub idle: Duration,
    /// After login: for a side to accept octets.
    pub write: Duration,
    /// How long sessions go on after the listeners closed.
    pub drain: Duration,
    /// How a client that is gone is noticed.
    pub keep_alive: KeepAlive,
    /// Waits after failed logins.
    pub throttle: Rules,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_per_address: MAX_PER_ADDRESS,
            max_per_user: MAX_PER_USER,
            max_failed_logins: MAX_FAILED_LOGINS,
            login: LOGIN,
            handover: HANDOVER,
            idle: IDLE,
            write: WRITE,
            drain: kit::lifecycle::DRAIN,
            keep_alive: KeepAlive::default(),
            throttle: Rules::default(),
        }
    }
}
