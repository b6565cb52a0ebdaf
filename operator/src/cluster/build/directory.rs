//! The directory. `kubectl exec … -- buzonera` in its pods needs no flags.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVar;

use super::Facts;
use super::etcd::url;
use super::flags::{common, flag};
use crate::cluster::Cluster;
use crate::names::labels::Instance;
use crate::names::{Port, SecretOf, Tier};
use crate::objects::Object;
use crate::pod::{self, Mount, Part, Set, Source, env_of_field, env_of_text, folders};

/// All replicas.
pub(super) fn replicas(cluster: &Cluster, facts: &Facts) -> Result<Object, serde_json::Error> {
    let part = Part {
        tier: Tier::Directory,
        instance: Instance::All,
        pod: &cluster.directory.pod,
        command: None,
        args: args(cluster),
        env: env(),
        ports: vec![Port::DirectoryRpc, Port::Admin],
        mounts: mounts(cluster),
        annotations: BTreeMap::new(),
    };
    let set = Set {
        name: cluster.name.directory(),
        service: Some(cluster.name.directory()),
        replicas: cluster.directory.replicas,
        part,
    };
    pod::stateful_set(cluster, &facts.owner, set)
}

fn args(cluster: &Cluster) -> Vec<String> {
    let members = 0..cluster.etcd.members;
    let urls = members.map(|ordinal| url(&cluster.name.etcd_host(ordinal), Port::EtcdClient));
    let store = format!("etcd:{}", urls.collect::<Vec<_>>().join(","));
    let mut flags = common(Tier::Directory, "$(POD_NAME)");
    flags.extend([
        flag("listen", &Port::DirectoryRpc.listen()),
        flag("store", &store),
        flag("store-identity", folders::STORE),
    ]);
    flags
}

/// The last three are read by `buzonera`: the replica of the pod that it is run in.
fn env() -> Vec<EnvVar> {
    let here = format!("localhost:{}", Port::DirectoryRpc.number());
    vec![
        env_of_field("POD_NAME", "metadata.name"),
        env_of_text("BUZONERA_SERVER", &here),
        env_of_text("BUZONERA_INSTANCE", "$(POD_NAME)"),
        env_of_text("BUZONERA_IDENTITY", folders::ADMIN),
    ]
}

fn mounts(cluster: &Cluster) -> Vec<Mount> {
    let folder = |name, path, secret: SecretOf| Mount {
        name,
        path,
        source: Source::Secret(secret.name(&cluster.name)),
    };
    vec![
        folder("id", folders::ID, SecretOf::Directory),
        folder("store", folders::STORE, SecretOf::EtcdClient),
        folder("admin", folders::ADMIN, SecretOf::Admin),
    ]
}
