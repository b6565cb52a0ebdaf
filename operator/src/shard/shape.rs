//! What a MailboxShard wants, with what its cluster says of all shards.

use crds::MailboxShard;
use crds::mailbox_shard::ShardMode;
use crds::pod::{Pod, Resources};
use kube::ResourceExt as _;

use crate::cluster::shape::Volume;
use crate::cluster::validate::volume;
use crate::cluster::{Cluster, Invalid};
use crate::names::labels;

/// A shard, as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Shard {
    /// Its number.
    pub ordinal: u32,
    /// What it is to do.
    pub mode: ShardMode,
    /// Its volume.
    pub volume: Volume,
    /// Its pod.
    pub pod: Pod,
    /// Its share beside that of the others; none: it follows the volume's size.
    pub weight: Option<u32>,
    /// Whether the operator made it, so that `spec.shards` counts it.
    pub counted: bool,
}

impl Shard {
    /// A shard of `cluster`, by its object. What the object does not say is as in `shardDefaults`,
    /// field by field.
    pub fn of(object: &MailboxShard, cluster: &Cluster) -> Result<Self, Invalid> {
        let spec = &object.spec;
        let name = object.name_any();
        let ordinal = cluster.name.shard_ordinal(&name);
        let ordinal = ordinal.filter(|_| spec.cluster_name == cluster.name.as_str());
        let defaults = &cluster.shard_defaults;
        let storage = &spec.storage;
        let size = storage.size.clone();
        let size = size.unwrap_or_else(|| defaults.volume.size.to_string());
        let class = storage.storage_class_name.as_ref();
        Ok(Self {
            ordinal: ordinal.ok_or(Invalid::ShardName {
                name,
                cluster: spec.cluster_name.clone(),
            })?,
            mode: spec.mode,
            volume: volume(
                "storage.size",
                &size,
                class.or(defaults.volume.class.as_ref()),
            )?,
            pod: over(&spec.pod, &defaults.pod),
            weight: spec.weight.map(weight).transpose()?,
            counted: labels::is_true(object.labels(), labels::COUNTED),
        })
    }
}

fn weight(written: i32) -> Result<u32, Invalid> {
    crate::cluster::validate::count("weight", written, 1, 1000)
}

/// Each field that is written takes the place of the default, as a whole.
fn over(own: &Pod, default: &Pod) -> Pod {
    let Pod {
        labels,
        annotations,
        resources,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        priority_class_name,
    } = own.clone();
    let default = default.clone();
    Pod {
        labels: or(labels, default.labels, |map| map.is_empty()),
        annotations: or(annotations, default.annotations, |map| map.is_empty()),
        resources: or(resources, default.resources, |resources| {
            *resources == Resources::default()
        }),
        node_selector: or(node_selector, default.node_selector, |map| map.is_empty()),
        tolerations: or(tolerations, default.tolerations, Vec::is_empty),
        affinity: affinity.or(default.affinity),
        topology_spread_constraints: or(
            topology_spread_constraints,
            default.topology_spread_constraints,
            Vec::is_empty,
        ),
        priority_class_name: priority_class_name.or(default.priority_class_name),
    }
}

fn or<T>(own: T, default: T, is_unwritten: impl FnOnce(&T) -> bool) -> T {
    match is_unwritten(&own) {
        true => default,
        false => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::{Operator, validate};

    fn cluster() -> Cluster {
        let object = serde_saphyr::from_str(
            "{apiVersion: buzonera.dev/v1alpha1, kind: MailCluster, \
             metadata: {name: a, namespace: mail}, spec: {hostname: mail.example.org, shards: 1, \
             shardDefaults: {storage: {size: 200Gi, storageClassName: fast}, pod: {\
             labels: {team: mail}, priorityClassName: high, resources: {limits: {cpu: 1}}}}}}",
        );
        let operator = Operator {
            release: "0.1.0".parse().unwrap(),
            registry: String::new(),
            etcd_image: "etcd:v3.6.16".to_owned(),
        };
        validate(&object.unwrap(), &operator, None).unwrap()
    }

    fn shard(name: &str, spec: &str) -> Result<Shard, Invalid> {
        let object = serde_saphyr::from_str(&format!(
            "{{apiVersion: buzonera.dev/v1alpha1, kind: MailboxShard, \
             metadata: {{name: {name}, namespace: mail}}, spec: {{{spec}}}}}",
        ));
        Shard::of(&object.unwrap(), &cluster())
    }

    #[test]
    fn what_a_shard_does_not_say_is_as_its_cluster_says() {
        let shard = shard("a-7", "clusterName: a").unwrap();
        let defaults = cluster().shard_defaults;
        assert_eq!((shard.volume, shard.pod), (defaults.volume, defaults.pod));
        assert_eq!(
            (shard.ordinal, shard.weight, shard.counted),
            (7, None, false)
        );
        assert_eq!(shard.mode, ShardMode::Active);
    }

    #[test]
    fn what_it_says_takes_the_place_of_that_field_alone() {
        let own = "clusterName: a, weight: 5, storage: {size: 1Ti}, \
                   pod: {labels: {team: archive}, resources: {requests: {cpu: 2}}}";
        let shard = shard("a-7", own).unwrap();
        assert_eq!(shard.volume.size.to_string(), "1Ti");
        assert_eq!(shard.volume.class.as_deref(), Some("fast"));
        assert_eq!(shard.pod.labels["team"], "archive");
        assert!(shard.pod.resources.limits.is_empty());
        assert_eq!(shard.pod.priority_class_name.as_deref(), Some("high"));
        assert_eq!(shard.weight, Some(5));
    }

    #[test]
    fn a_sentence_names_the_field() {
        for (name, spec, field) in [
            ("a-07", "clusterName: a", "metadata.name: "),
            ("b-7", "clusterName: a", "metadata.name: "),
            ("a-7", "clusterName: b", "metadata.name: "),
            ("a-7", "clusterName: a, weight: 0", "weight: 0"),
            (
                "a-7",
                "clusterName: a, storage: {size: 1}",
                "storage.size: ",
            ),
            (
                "a-7",
                "clusterName: a, storage: {size: x}",
                "storage.size: ",
            ),
        ] {
            let invalid = shard(name, spec).unwrap_err().to_string();
            assert!(invalid.starts_with(field), "{name} {spec}: {invalid}");
        }
    }
}
