//! What a shard consists of: a volume, a certificate and one pod.

use std::collections::BTreeMap;

use crds::mailbox_shard::ShardMode;
use serde_json::Value;

use super::Shard;
use crate::cluster::Cluster;
use crate::cluster::build::{claim, common, flag, peers, secret};
use crate::names::labels::{self, Instance};
use crate::names::{Owner, Port, SecretOf, Tier};
use crate::objects::{Files, Object, Place, Prepared};
use crate::pod::{self, Mount, Part, Set, Source, env_of_field, folders};

/// Makes all objects of a shard. `owner` is its MailCluster; `identity` is the content of its
/// Secret, and none leaves the Secret as it is.
pub fn build(
    cluster: &Cluster,
    shard: &Shard,
    owner: &Owner,
    identity: Option<&Files>,
) -> Result<Prepared, serde_json::Error> {
    let whose = SecretOf::Shard(shard.ordinal);
    let secret = identity.map(|files| secret(cluster, owner, &whose, files));
    let mut objects: Vec<Object> = secret.transpose()?.into_iter().collect();
    objects.push(stateful_set(cluster, shard, owner)?);
    Ok(Prepared {
        objects,
        claims: vec![volume(cluster, shard)?],
    })
}

/// Its claim says whether the shard was counted, so that the shard's object can be made again from
/// it.
fn volume(cluster: &Cluster, shard: &Shard) -> Result<Object, serde_json::Error> {
    let name = cluster.name.shard(shard.ordinal);
    let mut claim = claim(cluster, place(shard), name, &shard.volume)?;
    if shard.counted {
        claim.label(labels::COUNTED, labels::TRUE);
    }
    Ok(claim)
}

fn stateful_set(
    cluster: &Cluster,
    shard: &Shard,
    owner: &Owner,
) -> Result<Object, serde_json::Error> {
    let name = cluster.name.shard(shard.ordinal);
    let (directory, peers) = peers(&cluster.name);
    let mut args = common(Tier::Storage, &name);
    args.push(directory);
    args.extend(own_flags(shard.mode));
    let part = Part {
        tier: Tier::Storage,
        instance: place(shard).instance,
        pod: &shard.pod,
        command: None,
        args,
        env: vec![
            env_of_field("POD_IP", "status.podIP"),
            env_of_field("NODE_NAME", "spec.nodeName"),
        ],
        ports: vec![Port::StorageRpc, Port::Mail, Port::Admin],
        mounts: vec![
            Mount {
                name: "data",
                path: folders::DATA,
                source: Source::Claim(name.clone()),
            },
            Mount {
                name: "id",
                path: folders::ID,
                source: Source::Secret(SecretOf::Shard(shard.ordinal).name(&cluster.name)),
            },
            peers,
        ],
        annotations: BTreeMap::new(),
    };
    let set = Set {
        name,
        service: Some(cluster.name.shards()),
        replicas: 1,
        part,
    };
    pod::stateful_set(cluster, owner, set)
}

fn place(shard: &Shard) -> Place {
    Place {
        tier: Tier::Storage,
        instance: Instance::Shard(shard.ordinal),
    }
}

/// It announces the pod's address: so it is found again when its lease is granted, and not when
/// caches of names expire. Whoever gets that address later has another certificate.
fn own_flags(mode: ShardMode) -> Vec<String> {
    let mut flags = vec![
        flag("data", folders::DATA),
        flag("rpc-listen", &Port::StorageRpc.listen()),
        flag("pop3-listen", &Port::Mail.listen()),
        flag("advertise", "$(POD_IP)"),
        flag("node", "$(NODE_NAME)"),
    ];
    match mode {
        ShardMode::Active | ShardMode::Cordoned | ShardMode::Drained => {}
        ShardMode::Stopped => flags.push(stopped()),
    }
    flags
}

fn stopped() -> String {
    flag("stopped", "true")
}

/// Whether a StatefulSet's pods are told to serve nothing.
pub(crate) fn is_stopped(set: &Value) -> bool {
    let args = set.pointer("/spec/template/spec/containers/0/args");
    let mut args = args.and_then(Value::as_array).into_iter().flatten();
    let stopped = stopped();
    args.any(|arg| *arg == *stopped)
}
