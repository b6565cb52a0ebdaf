//! The tier that takes mail in. Each has a spool, so each is a StatefulSet of its own.

use std::collections::BTreeMap;

use super::Facts;
use super::doors::{listen, open, proxied, public};
use super::flags::{common, flag, peers};
use crate::cluster::Cluster;
use crate::names::labels::{self, Instance};
use crate::names::{Port, SecretOf, Tier, annotations, files};
use crate::objects::Object;
use crate::pod::{self, Mount, Part, Set, Source, folders};

/// A StatefulSet for each, those that leave too.
pub(super) fn all(cluster: &Cluster, facts: &Facts) -> Result<Vec<Object>, serde_json::Error> {
    let ordinals = facts.mx(cluster).into_iter();
    ordinals
        .map(|ordinal| one(cluster, facts, ordinal))
        .collect()
}

fn one(cluster: &Cluster, facts: &Facts, ordinal: u32) -> Result<Object, serde_json::Error> {
    let name = cluster.name.mx(ordinal);
    let (directory, peers) = peers(&cluster.name);
    let mut args = common(Tier::Mx, &name);
    args.push(directory);
    args.extend(own_flags(cluster));
    let mut ports = open(&cluster.mx.doors, &PORTS);
    ports.extend([Port::MxRpc, Port::Admin]);
    let mut mounts = mounts(cluster, ordinal);
    mounts.push(peers);
    let part = Part {
        tier: Tier::Mx,
        instance: Instance::Ordinal(ordinal),
        pod: &cluster.mx.pod,
        command: None,
        args,
        env: Vec::new(),
        ports,
        mounts,
        annotations: BTreeMap::new(),
    };
    let set = Set {
        name,
        service: Some(cluster.name.mx_rpc()),
        replicas: 1,
        part,
    };
    let mut object = pod::stateful_set(cluster, &facts.owner, set)?;
    if facts.mx_leaving.contains(&ordinal) || facts.mx_shut.contains(&ordinal) {
        object.annotate(annotations::LEAVING, labels::TRUE);
    }
    Ok(object)
}

fn mounts(cluster: &Cluster, ordinal: u32) -> Vec<Mount> {
    let own = [
        Mount {
            name: "spool",
            path: folders::SPOOL,
            source: Source::Claim(cluster.name.mx(ordinal)),
        },
        Mount {
            name: "id",
            path: folders::ID,
            source: Source::Secret(SecretOf::Mx(ordinal).name(&cluster.name)),
        },
        public(cluster),
    ];
    let clients = cluster.mx.client_ca.iter().map(|secret| Mount {
        name: "client-ca",
        path: folders::CLIENT_CA,
        source: Source::OthersSecret(secret.clone()),
    });
    own.into_iter().chain(clients).collect()
}

const PORTS: [Port; 3] = [Port::Smtp, Port::SmtpProxied, Port::Lmtp];

fn own_flags(cluster: &Cluster) -> Vec<String> {
    let doors = &cluster.mx.doors;
    let mut flags = vec![
        flag("hostname", &cluster.hostname),
        flag("data", folders::SPOOL),
        flag("tls", folders::PUBLIC),
        flag("rpc-listen", &Port::MxRpc.listen()),
        flag("smtp-listen", &listen(doors, Port::Smtp)),
    ];
    flags.extend(proxied(
        doors,
        &[("smtp-proxied-listen", Port::SmtpProxied)],
    ));
    if doors.lead_to(Port::Lmtp) {
        flags.extend([
            flag("lmtp-listen", &Port::Lmtp.listen()),
            flag("lmtp-client-ca", &client_ca(cluster)),
        ]);
    }
    flags
}

/// Whoever hands mail in by LMTP is trusted with senders and recipients, so it shows a certificate.
fn client_ca(cluster: &Cluster) -> String {
    match cluster.mx.client_ca {
        Some(_) => format!("{}/{}", folders::CLIENT_CA, files::CLIENT_CA),
        None => format!("{}/{}", folders::ID, files::CA),
    }
}
