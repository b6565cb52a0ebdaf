//! Clusters and all that they consist of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crds::{MailCluster, MailboxShard};
use operator::cluster::Cluster;
use operator::cluster::build::{self, Facts};
use operator::cluster::validate::{Operator, validate};
use operator::names::{Owner, SecretOf, files};
use operator::objects::{Files, Kind, Object, Prepared};
use operator::shard::{self, Shard};
use serde_json::Value;

/// Both clusters of the golden files.
pub(crate) const BOTH: [&str; 2] = ["least", "full"];

/// A cluster with one shard.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) shard: Shard,
    pub(crate) facts: Facts,
}

impl World {
    /// One of the two.
    pub(crate) fn golden(name: &str) -> Self {
        Self::of(&cluster(name), &shard(name))
    }

    /// As little as can be written, under another name.
    pub(crate) fn named(name: &str) -> Self {
        let mut cluster = cluster("least");
        cluster.metadata.name = Some(name.to_owned());
        let mut shard = shard("least");
        shard.metadata.name = Some(format!("{name}-0"));
        shard.spec.cluster_name = name.to_owned();
        Self::of(&cluster, &shard)
    }

    pub(crate) fn of(cluster: &MailCluster, shard: &MailboxShard) -> Self {
        let cluster = validate(cluster, &operator(), None).unwrap();
        let shard = Shard::of(shard, &cluster).unwrap();
        let mut facts = Facts {
            owner: Owner {
                name: cluster.name.clone(),
                uid: "6a0c8a3e-1111-4222-8333-444444444444".to_owned(),
            },
            cluster_id: "0b54a7c2-6a1e-4c6c-9a39-5b1c7f2f6d11".parse().unwrap(),
            bootstrapped: true,
            etcd_ca: "fingerprint-of-etcds-ca".to_owned(),
            proxy_replicas: None,
            mx_leaving: BTreeSet::new(),
            mx_shut: BTreeSet::new(),
            secrets: BTreeMap::new(),
        };
        facts.secrets = secrets(&cluster, &facts);
        Self {
            cluster,
            shard,
            facts,
        }
    }

    /// Everything, the shard's objects too.
    pub(crate) fn prepared(&self) -> Prepared {
        let Self {
            cluster,
            shard,
            facts,
        } = self;
        let mut prepared = build::build(cluster, facts).unwrap();
        let identity = pairs(&[&cluster.name.shard(shard.ordinal)]);
        let owner = &facts.owner;
        prepared.extend(shard::build::build(cluster, shard, owner, Some(&identity)).unwrap());
        prepared
    }

    /// Every object, claims too.
    pub(crate) fn all(&self) -> Vec<Object> {
        let Prepared { objects, claims } = self.prepared();
        objects.into_iter().chain(claims).collect()
    }

    /// Every object of a kind.
    pub(crate) fn kind(&self, kind: Kind) -> Vec<Object> {
        let mut all = self.all();
        all.retain(|object| object.kind() == kind);
        all
    }

    /// The templates of all pods, by the names of their StatefulSets.
    pub(crate) fn templates(&self) -> BTreeMap<String, Value> {
        let sets = self.kind(Kind::StatefulSet).into_iter();
        sets.map(|set| {
            (
                set.name().to_owned(),
                set.value()["spec"]["template"].clone(),
            )
        })
        .collect()
    }
}

/// Where the golden files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A file there.
pub(crate) fn read(path: &Path) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn cluster(name: &str) -> MailCluster {
    serde_saphyr::from_str(&read(Path::new(&format!("{name}.yaml")))).unwrap()
}

pub(crate) fn shard(name: &str) -> MailboxShard {
    serde_saphyr::from_str(&read(Path::new(&format!("{name}.shard.yaml")))).unwrap()
}

pub(crate) fn operator() -> Operator {
    Operator {
        release: "0.1.0".parse().unwrap(),
        registry: "registry.example.org/buzonera".to_owned(),
        etcd_image: "registry.example.org/buzonera/etcd:v3.6.16".to_owned(),
    }
}

/// All Secrets but the shard's, with words for certificates.
fn secrets(cluster: &Cluster, facts: &Facts) -> BTreeMap<SecretOf, Files> {
    let name = &cluster.name;
    let directory: Vec<_> = (0..cluster.directory.replicas)
        .map(|ordinal| name.directory_replica(ordinal))
        .collect();
    let proxies: Vec<_> = (0..facts.proxies(cluster))
        .map(|ordinal| name.proxy_instance(ordinal))
        .collect();
    let one = || files_of(&[files::CA, files::CERT, files::KEY].map(str::to_owned));
    let mut secrets = BTreeMap::from([
        (SecretOf::EtcdClient, one()),
        (SecretOf::Directory, pairs(&directory)),
        (SecretOf::Admin, one()),
        (SecretOf::Proxy, pairs(&proxies)),
        (SecretOf::Public, one()),
    ]);
    for ordinal in 0..cluster.etcd.members {
        let pair = pairs(&[name.etcd_member(ordinal)]);
        secrets.insert(SecretOf::EtcdMember(ordinal), pair);
    }
    for ordinal in facts.mx(cluster) {
        secrets.insert(SecretOf::Mx(ordinal), pairs(&[name.mx(ordinal)]));
    }
    secrets
}

fn pairs(instances: &[impl AsRef<str>]) -> Files {
    let pairs = instances.iter().flat_map(|instance| {
        let (cert, key) = files::pair(instance.as_ref());
        [cert, key]
    });
    let names: Vec<_> = pairs.chain([files::CA.to_owned()]).collect();
    files_of(&names)
}

fn files_of(names: &[String]) -> Files {
    let file = |name: &String| (name.clone(), name.clone().into_bytes());
    Files(names.iter().map(file).collect())
}

/// The labels at a place.
pub(crate) fn labels_of(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}
