//! The directory's store.

use std::collections::BTreeMap;

use super::Facts;
use super::flags::flag;
use crate::cluster::Cluster;
use crate::names::labels::Instance;
use crate::names::{Port, SecretOf, Tier, annotations, files};
use crate::objects::Object;
use crate::pod::{Mount, Part, Set, Source, env_of_map, folders, stateful_set};

/// A StatefulSet for each member.
pub(super) fn all(cluster: &Cluster, facts: &Facts) -> Result<Vec<Object>, serde_json::Error> {
    let members = 0..cluster.etcd.members;
    members
        .map(|ordinal| member(cluster, facts, ordinal))
        .collect()
}

fn member(cluster: &Cluster, facts: &Facts, ordinal: u32) -> Result<Object, serde_json::Error> {
    let name = cluster.name.etcd_member(ordinal);
    let map = cluster.name.etcd();
    let etcd_ca = (annotations::ETCD_CA.to_owned(), facts.etcd_ca.clone());
    let part = Part {
        tier: Tier::Etcd,
        instance: Instance::Ordinal(ordinal),
        pod: &cluster.etcd.pod,
        // The image has no entry point, only a command, which arguments would replace.
        command: Some(vec!["etcd".to_owned()]),
        args: args(cluster, facts, ordinal),
        env: [
            files::ETCD_INITIAL_CLUSTER,
            files::ETCD_INITIAL_CLUSTER_STATE,
        ]
        .map(|key| env_of_map(key, &map))
        .into(),
        ports: vec![Port::EtcdClient, Port::EtcdPeer, Port::EtcdMetrics],
        mounts: vec![
            Mount {
                name: "data",
                path: folders::DATA,
                source: Source::Claim(name.clone()),
            },
            Mount {
                name: "tls",
                path: folders::TLS,
                source: Source::Secret(SecretOf::EtcdMember(ordinal).name(&cluster.name)),
            },
        ],
        annotations: BTreeMap::from([etcd_ca]),
    };
    let set = Set {
        name,
        service: Some(map),
        replicas: 1,
        part,
    };
    stateful_set(cluster, &facts.owner, set)
}

/// Flags only: with a file etcd heeds neither flags nor environment.
fn args(cluster: &Cluster, facts: &Facts, ordinal: u32) -> Vec<String> {
    let name = cluster.name.etcd_member(ordinal);
    let token = facts.cluster_id.to_string();
    let quota = cluster.etcd.quota().to_string();
    let client = url(&cluster.name.etcd_host(ordinal), Port::EtcdClient);
    let peer = url(&cluster.name.etcd_host(ordinal), Port::EtcdPeer);
    // Go opens this address for IPv6 too.
    let everywhere = |port| url("0.0.0.0", port);
    let metrics = format!("http://0.0.0.0:{}", Port::EtcdMetrics.number());
    // A folder of its own has the mode that etcd wants; a volume's root has another.
    let data = format!("{}/etcd", folders::DATA);
    let mut flags = vec![
        flag("name", &name),
        flag("data-dir", &data),
        flag("initial-cluster-token", &token),
        flag("initial-advertise-peer-urls", &peer),
        flag("listen-peer-urls", &everywhere(Port::EtcdPeer)),
        flag("advertise-client-urls", &client),
        flag("listen-client-urls", &everywhere(Port::EtcdClient)),
        flag("listen-metrics-urls", &metrics),
        // It would call etcd as a client with the member's certificate, which is none of a client.
        flag("enable-grpc-gateway", "false"),
    ];
    flags.extend(tls(&name));
    flags.extend([
        flag("quota-backend-bytes", &quota),
        flag("auto-compaction-mode", "periodic"),
        flag("auto-compaction-retention", "1h"),
        // For nodes in several zones, with disks that sync in 100 ms.
        flag("heartbeat-interval", "300"),
        flag("election-timeout", "3000"),
        flag("feature-gates", "InitialCorruptCheck=true"),
    ]);
    flags
}

/// Who may be a member and who a client is said by the one name in its certificate. A look-up of the
/// address that it comes from is not asked for: it would decide whether a restarted member is let in.
fn tls(member: &str) -> Vec<String> {
    let file = |name: &str| format!("{}/{name}", folders::TLS);
    let (cert, key) = files::pair(member);
    let (ca, cert, key) = (file(files::CA), file(&cert), file(&key));
    vec![
        flag("trusted-ca-file", &ca),
        flag("cert-file", &cert),
        flag("key-file", &key),
        flag("client-cert-auth", "true"),
        flag(
            "client-cert-allowed-hostname",
            kit::authority::STORE_CLIENT_NAME,
        ),
        flag("peer-trusted-ca-file", &ca),
        flag("peer-cert-file", &cert),
        flag("peer-key-file", &key),
        flag("peer-client-cert-auth", "true"),
        flag(
            "peer-cert-allowed-hostname",
            kit::authority::STORE_MEMBER_NAME,
        ),
        flag("peer-skip-client-san-verification", "true"),
    ]
}

/// The URL of etcd at a host.
pub(super) fn url(host: &str, port: Port) -> String {
    format!("https://{host}:{}", port.number())
}
