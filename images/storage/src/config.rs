//! What a storage process is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kit::rpc::Replica;

use crate::service::Limits;
use crate::shard::Settings;

/// A fast disk fills 5 % of a small volume in more than this.
pub const SPACE_EVERY: Duration = Duration::from_secs(2);

/// How long an answer waits for the directory when the lease ran out: two of the keeper's
/// questions, and less than callers wait.
pub const LEASE_PATIENCE: Duration = Duration::from_secs(5);

/// At 95 % full, deliveries and imports stop.
pub const MIN_FREE_PERCENT: u64 = 5;

/// Everything that `run` needs. The shard's name is the instance of its identity.
#[derive(Debug, Clone)]
pub struct Config {
    /// The identity folder (ca.pem, cert.pem, key.pem) of tier storage.
    pub identity: PathBuf,
    /// The volume.
    pub data: PathBuf,
    /// The directory's replicas, at least one.
    pub directory: Vec<Replica>,
    /// Where MX, directory and other shards connect.
    pub rpc_listen: SocketAddr,
    /// Where proxies connect.
    pub pop3_listen: SocketAddr,
    /// host:port that callers are told; none: where RPC listens.
    pub rpc_advertise: Option<String>,
    /// host:port that proxies are told; none: where POP3 listens.
    pub pop3_advertise: Option<String>,
    /// Bounds of deliveries.
    pub limits: Limits,
    /// Bounds and times of the shard itself.
    pub shard: Settings,
    /// The heap's.
    pub heap: log::Options,
    /// See [`LEASE_PATIENCE`].
    pub lease_patience: Duration,
    /// See [`SPACE_EVERY`].
    pub space_every: Duration,
    /// See [`MIN_FREE_PERCENT`].
    pub min_free_percent: u64,
}

impl Config {
    /// The defaults, with what has none.
    pub fn new(
        identity: PathBuf,
        data: PathBuf,
        directory: Vec<Replica>,
        rpc_listen: SocketAddr,
        pop3_listen: SocketAddr,
    ) -> Self {
        Self {
            identity,
            data,
            directory,
            rpc_listen,
            pop3_listen,
            rpc_advertise: None,
            pop3_advertise: None,
            limits: Limits::default(),
            shard: Settings::default(),
            heap: log::Options::default(),
            lease_patience: LEASE_PATIENCE,
            space_every: SPACE_EVERY,
            min_free_percent: MIN_FREE_PERCENT,
        }
    }
}
