//! What the tiers have in common that people come to from outside.

use super::flags::flag;
use crate::cluster::Cluster;
use crate::cluster::shape::Doors;
use crate::names::{Port, SecretOf};
use crate::pod::{Mount, Source, folders};

/// Where a process listens that always does: a port that no Service names stays inside the pod.
pub(super) fn listen(doors: &Doors, port: Port) -> String {
    match doors.lead_to(port) {
        true => port.listen(),
        false => port.listen_inside(),
    }
}

/// The flags of those ports behind balancers that a Service leads to, and which balancers are
/// believed.
pub(super) fn proxied(doors: &Doors, ports: &[(&str, Port)]) -> Vec<String> {
    let open = ports.iter().filter(|(_, port)| doors.lead_to(*port));
    let mut flags: Vec<_> = open
        .map(|(name, port)| flag(name, &port.listen()))
        .collect();
    if !flags.is_empty() {
        let trusted: Vec<_> = doors.trusted.iter().map(String::as_str).collect();
        flags.push(flag("proxy-trusted", &trusted.join(",")));
    }
    flags
}

/// Those of the container's ports that a Service leads to.
pub(super) fn open(doors: &Doors, ports: &[Port]) -> Vec<Port> {
    let open = ports.iter().copied().filter(|port| doors.lead_to(*port));
    open.collect()
}

/// The certificates that clients from outside are shown.
pub(super) fn public(cluster: &Cluster) -> Mount {
    Mount {
        name: "public",
        path: folders::PUBLIC,
        source: Source::Secret(SecretOf::Public.name(&cluster.name)),
    }
}
