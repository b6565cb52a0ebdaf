//! Flags that several tiers have. A tier's whole configuration is its flags: they are the template,
//! so that whatever would need a restart makes one.

use crate::names::{ClusterName, Port, Tier, files};
use crate::pod::ending::Ending;
use crate::pod::{Mount, Source, folders};

/// The flags of every tier of ours. `instance` names the certificate.
pub(crate) fn common(tier: Tier, instance: &str) -> Vec<String> {
    let mut flags = vec![
        flag("identity", folders::ID),
        flag("instance", instance),
        flag("admin-listen", &Port::Admin.listen()),
        flag("log", "json"),
    ];
    flags.extend(Ending::of(tier).flags());
    flags
}

/// Where a tier finds the directory, and the folder for that.
pub(crate) fn peers(cluster: &ClusterName) -> (String, Mount) {
    let list = format!("{}/{}", folders::PEERS, files::PEERS);
    let mount = Mount {
        name: "peers",
        path: folders::PEERS,
        source: Source::Config(cluster.peers()),
    };
    (flag("directory-file", &list), mount)
}

pub(crate) fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}
