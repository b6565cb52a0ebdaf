//! The tier that mail programs come to.

use std::collections::BTreeMap;

use super::Facts;
use super::doors::{listen, open, proxied, public};
use super::flags::{common, flag, peers};
use crate::cluster::Cluster;
use crate::cluster::shape::Doors;
use crate::names::labels::Instance;
use crate::names::{Port, SecretOf, Tier};
use crate::objects::Object;
use crate::pod::{self, Mount, Part, Set, Source, env_of_field, folders};

/// All proxies. They keep nothing and nobody calls them by name, so there is no Service for that.
pub(super) fn replicas(cluster: &Cluster, facts: &Facts) -> Result<Object, serde_json::Error> {
    let doors = &cluster.proxy.doors;
    let (directory, peers) = peers(&cluster.name);
    let mut args = common(Tier::Proxy, "$(POD_NAME)");
    args.push(directory);
    args.extend(public_flags(doors));
    let mut ports = open(doors, &PORTS);
    ports.push(Port::Admin);
    let part = Part {
        tier: Tier::Proxy,
        instance: Instance::All,
        pod: &cluster.proxy.pod,
        command: None,
        args,
        env: vec![env_of_field("POD_NAME", "metadata.name")],
        ports,
        mounts: vec![
            Mount {
                name: "id",
                path: folders::ID,
                source: Source::Secret(SecretOf::Proxy.name(&cluster.name)),
            },
            public(cluster),
            peers,
        ],
        annotations: BTreeMap::new(),
    };
    let set = Set {
        name: cluster.name.proxy(),
        service: None,
        replicas: facts.proxies(cluster),
        part,
    };
    pod::stateful_set(cluster, &facts.owner, set)
}

const PORTS: [Port; 4] = [
    Port::Pop3,
    Port::Pop3Proxied,
    Port::Pop3s,
    Port::Pop3sProxied,
];

fn public_flags(doors: &Doors) -> Vec<String> {
    let mut flags = vec![
        flag("tls", folders::PUBLIC),
        flag("pop3-listen", &listen(doors, Port::Pop3)),
        flag("pop3s-listen", &listen(doors, Port::Pop3s)),
    ];
    flags.extend(proxied(
        doors,
        &[
            ("pop3-proxied-listen", Port::Pop3Proxied),
            ("pop3s-proxied-listen", Port::Pop3sProxied),
        ],
    ));
    flags
}
