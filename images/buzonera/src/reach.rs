//! Finding the cluster: from a data folder, or by address and identity folder.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::rpc::directory::{DirectoryChannel, DirectoryOptions};
use kit::rpc::{self, Channel, ChannelOptions, DirectoryClient, Replica};
use kit::services::operator_client::OperatorClient;
use kit::tls::Credentials;
use wire::identity::Tier;

use crate::cli::Reach;
use crate::client::Admin;
use crate::failure::Failure;
use crate::local::args;
use crate::local::layout::Layout;
use crate::local::roster;
use crate::local::running::Running;

/// An import hashes a hundred passwords in one call; nothing else comes near.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server to call, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// host:port.
    pub address: String,
    /// The instance that must answer there.
    pub instance: String,
    /// Our identity folder.
    pub identity: PathBuf,
}

/// The directory that the flags name.
pub fn directory(reach: &Reach) -> Result<Target, Failure> {
    match (&reach.server, &reach.identity) {
        (Some(server), Some(identity)) => Ok(Target {
            address: server.clone(),
            instance: reach.instance.clone(),
            identity: identity.clone(),
        }),
        (None, None) => {
            let layout = Layout::new(&reach.data);
            let running = Running::read(&layout)?;
            let address = running.directory.to_string();
            Ok(local(&layout, address, roster::DIRECTORY))
        }
        (Some(_), None) => Err(usage("--server needs --identity DIR, the folder of yours.")),
        (None, Some(_)) => Err(usage("--identity needs --server HOST:PORT.")),
    }
}

/// The mail server's name, as a `buzonera local` in the folder was told; none: it was not.
pub fn hostname(reach: &Reach) -> Option<String> {
    if reach.server.is_some() {
        return None;
    }
    let running = Running::read(&Layout::new(&reach.data)).ok()?;
    let is_name = |name: &String| name != args::LOCALHOST && name.parse::<IpAddr>().is_err();
    Some(running.hostname).filter(is_name)
}

/// A tier of the `buzonera local` in a folder.
pub fn local(layout: &Layout, address: String, instance: &str) -> Target {
    Target {
        address,
        instance: instance.to_owned(),
        identity: layout.identity(roster::ADMIN),
    }
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}

impl Target {
    /// The directory's administration there; connects with the first call.
    pub fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::new(self.client()?.admin(), self.address.clone()))
    }

    /// The directory there, as whoever keeps the cluster asks it; connects with the first call.
    pub fn operator(&self) -> Result<OperatorClient<DirectoryChannel>, Failure> {
        Ok(self.client()?.operator())
    }

    fn client(&self) -> Result<DirectoryClient, Failure> {
        let replica = Replica {
            instance: self.instance.clone(),
            endpoint: self.address.clone(),
        };
        let options = DirectoryOptions {
            channel: channel_options(),
            ..DirectoryOptions::default()
        };
        DirectoryClient::new(&[replica], &credentials(&self.identity)?, options)
            .map_err(|error| Failure::Usage(format!("{error}.")))
    }

    /// A channel to the MX there; connects with the first call.
    pub fn channel(&self) -> Result<Channel, Failure> {
        let wrong = |text: String| Failure::Usage(format!("{text}."));
        let credentials = credentials(&self.identity)?;
        let expected = credentials
            .peer(Tier::Mx, &self.instance)
            .map_err(|error| wrong(error.to_string()))?;
        rpc::channel(&self.address, &expected, &credentials, channel_options())
            .map_err(|error| wrong(error.to_string()))
    }
}

/// For calls that a person waits for.
pub fn channel_options() -> ChannelOptions {
    ChannelOptions {
        deadline: DEADLINE,
        ..ChannelOptions::default()
    }
}

/// Our identity.
pub fn credentials(dir: &Path) -> Result<Credentials, Failure> {
    Credentials::load(dir).map_err(|error| Failure::Usage(format!("No identity: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(server: Option<&str>, identity: Option<&str>) -> Reach {
        Reach {
            data: PathBuf::from("nowhere"),
            server: server.map(str::to_owned),
            identity: identity.map(PathBuf::from),
            instance: roster::DIRECTORY.to_owned(),
        }
    }

    #[test]
    fn an_address_needs_an_identity() {
        let target = directory(&reach(Some("d:7400"), Some("me"))).unwrap();
        assert_eq!(target.address, "d:7400");
        assert_eq!(target.identity, PathBuf::from("me"));
        for half in [reach(Some("d:7400"), None), reach(None, Some("me"))] {
            assert_eq!(directory(&half).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn a_folder_where_nothing_runs_is_said_so() {
        let failure = directory(&reach(None, None)).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.to_string().contains("buzonera local"), "{failure}");
    }
}
