//! The directory, as the operator calls it: at its pods' addresses, with a certificate of a day.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use kit::authority::AuthorityError;
use kit::rpc::{BadEndpoint, Channel, ChannelOptions, channel};
use kit::services::admin_client::AdminClient;
use kit::services::operator_client::OperatorClient;
use kit::tls::{Credentials, LoadError};
use tempfile::TempDir;
use wire::identity::{Identity, IdentityError, Tier};
use wire::ids::ClusterId;

use crate::names::Port;
use crate::root::Root;

mod calls;
mod poll;
mod view;

pub(crate) use calls::bootstrap;
pub use calls::{AllocateError, add_domain, allocate, set_limits};
pub(crate) use poll::{Directories, Of, Pods, all_shards as shards_now};
pub use view::{Reachable, View};

/// How long the operator's own certificate lasts.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A replica that has not answered by then counts as away: others are asked meanwhile.
const DEADLINE: Duration = Duration::from_secs(3);

/// The operator's instance; there is one.
const INSTANCE: &str = "operator";

/// Calls the replicas of one cluster's directory.
pub struct Caller {
    credentials: Credentials,
    cluster: ClusterId,
    until: SystemTime,
    /// Where the certificate is while it is read, and no longer than this lives.
    _folder: TempDir,
}

/// Why a directory cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum NoCaller {
    /// No certificate was made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No folder for it.
    #[error("cannot keep the certificate: {0}")]
    Io(#[from] std::io::Error),
    /// It cannot be read.
    #[error(transparent)]
    Load(Box<LoadError>),
    /// A pod's address.
    #[error(transparent)]
    Endpoint(#[from] BadEndpoint),
}

/// A replica: its instance and the address of its pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    /// Its pod's name, which is in its certificate.
    pub instance: String,
    /// Its pod's address.
    pub address: std::net::IpAddr,
}

impl Caller {
    /// With a certificate of its own.
    pub fn new(root: &Root, now: SystemTime) -> Result<Self, NoCaller> {
        let folder = tempfile::tempdir()?;
        let identity = Identity::new(root.id, Tier::Operator, INSTANCE)?;
        root.authority
            .issue_for(&identity, folder.path(), LIFETIME, now)?;
        Ok(Self {
            credentials: Credentials::load(folder.path())
                .map_err(|error| NoCaller::Load(Box::new(error)))?,
            cluster: root.id,
            until: now + LIFETIME,
            _folder: folder,
        })
    }

    /// Whether it is time for another one: half of its day is gone.
    pub(crate) fn is_old(&self, now: SystemTime) -> bool {
        now + LIFETIME / 2 >= self.until
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// A connection to a replica; made with the first call.
    pub fn channel(&self, replica: &Replica) -> Result<Channel, NoCaller> {
        let expect = Identity::new(self.cluster, Tier::Directory, &replica.instance)?;
        let port = Port::DirectoryRpc.number();
        self.to(SocketAddr::new(replica.address, port), &expect)
    }

    /// A connection to whoever has that identity there.
    pub(crate) fn to(&self, there: SocketAddr, expect: &Identity) -> Result<Channel, NoCaller> {
        let options = ChannelOptions {
            deadline: DEADLINE,
            ..ChannelOptions::default()
        };
        Ok(channel(
            &there.to_string(),
            expect,
            &self.credentials,
            options,
        )?)
    }
}

/// What keeps clusters.
pub(crate) fn operator(channel: &Channel) -> OperatorClient<Channel> {
    OperatorClient::new(channel.clone())
}

/// What administrators have and operators too.
pub(crate) fn admin(channel: &Channel) -> AdminClient<Channel> {
    AdminClient::new(channel.clone())
}
