//! How many pods of a tier may be taken away at once: one, and any that is sick already, or a node
//! with a sick pod could never be drained.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::names::labels::{self, Instance};
use crate::names::{Owner, Tier};
use crate::objects::{Kind, Object, Place, metadata};

/// One over each tier.
pub(super) fn all(cluster: &Cluster, owner: &Owner) -> Result<Vec<Object>, serde_json::Error> {
    let tiers = Tier::ALL.into_iter();
    tiers.map(|tier| budget(cluster, owner, tier)).collect()
}

fn budget(cluster: &Cluster, owner: &Owner, tier: Tier) -> Result<Object, serde_json::Error> {
    let name = match tier {
        Tier::Etcd => cluster.name.etcd(),
        Tier::Directory => cluster.name.directory(),
        Tier::Storage => cluster.name.shards(),
        Tier::Proxy => cluster.name.proxy(),
        Tier::Mx => cluster.name.mx_tier(),
    };
    let place = Place {
        tier,
        instance: Instance::All,
    };
    let budget = PodDisruptionBudget {
        metadata: metadata(cluster, owner, place, name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            min_available: None,
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&cluster.name, tier, Instance::All)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    };
    let value = serde_json::to_value(budget)?;
    Ok(Object::new(Kind::PodDisruptionBudget, place, value))
}
