//! Who is who inside a `buzonera local`: its CA, one identity per tier and shard, one administrator.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kit::authority::{Authority, AuthorityError};
use wire::identity::{Identity, IdentityError, Tier};
use wire::ids::{ClusterId, ShardName};

use crate::local::layout::Layout;

/// The one directory replica.
pub const DIRECTORY: &str = "directory-0";
/// The one MX.
pub const MX: &str = "mx-0";
/// The one proxy.
pub const PROXY: &str = "proxy-0";
/// Who `buzonera --data DIR` is.
pub const ADMIN: &str = "admin";

/// Why identities could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The CA refuses or a file cannot be written.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A shard's name is no instance.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// `ca.pem` cannot be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The folder was used before and its CA is gone: a new one would be a new cluster.
    #[error(
        "{0} is missing, and the folder holds mail of a cluster: put it back from a backup, \
         or choose a new folder with --data"
    )]
    Lost(String),
}

/// Opens the CA, or makes it with a new cluster id at the first start.
pub fn authority(layout: &Layout) -> Result<Authority, RosterError> {
    let dir = layout.authority();
    if Authority::exists(&dir) {
        return Ok(Authority::open(&dir)?);
    }
    if layout.directory().exists() || layout.shards().exists() {
        return Err(RosterError::Lost(dir.display().to_string()));
    }
    Ok(Authority::create(&dir, ClusterId::random())?)
}

/// Writes every identity anew, so that each start gives a year to all of them.
pub fn issue(
    authority: &Authority,
    layout: &Layout,
    shards: &[ShardName],
    hostname: &str,
) -> Result<(), RosterError> {
    let fixed = [
        (Tier::Directory, DIRECTORY),
        (Tier::Mx, MX),
        (Tier::Proxy, PROXY),
        (Tier::Admin, ADMIN),
    ];
    let stores = shards.iter().map(|shard| (Tier::Storage, shard.as_str()));
    for (tier, instance) in fixed.into_iter().chain(stores) {
        let identity = Identity::new(authority.cluster(), tier, instance)?;
        authority.issue(&identity, &layout.identity(instance))?;
    }
    issue_public(authority, layout, hostname)?;
    replace(&layout.ca(), authority.ca_pem(), 0o644)?;
    Ok(())
}

fn issue_public(authority: &Authority, layout: &Layout, hostname: &str) -> Result<(), RosterError> {
    let mut hosts = vec!["localhost", "127.0.0.1", "::1"];
    if !hosts.contains(&hostname) {
        hosts.insert(0, hostname);
    }
    Ok(authority.issue_public(&hosts, &layout.public())?)
}

/// A reader sees the old text or the new, never half of it.
pub fn replace(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use kit::tls::Credentials;

    use super::*;

    #[test]
    fn a_second_start_keeps_the_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let shards = ["shard-1".parse().unwrap()];
        let first = authority(&layout).unwrap();
        issue(&first, &layout, &shards, "localhost").unwrap();
        let again = authority(&layout).unwrap();
        assert_eq!(again.cluster(), first.cluster());
        for instance in [DIRECTORY, MX, PROXY, ADMIN, "shard-1"] {
            let credentials = Credentials::load(&layout.identity(instance)).unwrap();
            assert_eq!(credentials.identity().cluster(), first.cluster());
        }
        let pem = fs::read_to_string(layout.ca()).unwrap();
        assert_eq!(pem, first.ca_pem());
    }

    #[test]
    fn a_lost_ca_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir(layout.directory()).unwrap();
        assert!(matches!(authority(&layout), Err(RosterError::Lost(_))));
    }
}
