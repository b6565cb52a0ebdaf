//! StatefulSets. What has a volume is one of one, which names its claim: there is no template of
//! claims, so nothing of it is immutable, and a volume that is lost stays lost until somebody says
//! otherwise.

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::template::{Part, template};
use crate::cluster::Cluster;
use crate::names::{Owner, labels};
use crate::objects::{Kind, Object, Place, metadata};

/// A StatefulSet, by what is not in its pods.
#[derive(Debug)]
pub(crate) struct Set<'a> {
    pub(crate) name: String,
    /// The Service with its pods' names.
    pub(crate) service: Option<String>,
    pub(crate) replicas: u32,
    pub(crate) part: Part<'a>,
}

/// Makes it.
pub(crate) fn stateful_set(
    cluster: &Cluster,
    owner: &Owner,
    set: Set<'_>,
) -> Result<Object, serde_json::Error> {
    let Set {
        name,
        service,
        replicas,
        part,
    } = set;
    let place = Place {
        tier: part.tier,
        instance: part.instance,
    };
    let whole = StatefulSet {
        metadata: metadata(cluster, owner, place, name),
        spec: Some(StatefulSetSpec {
            replicas: i32::try_from(replicas).ok(),
            service_name: service,
            // A broken pod of an outdated template is replaced by Kubernetes itself.
            pod_management_policy: Some("Parallel".to_owned()),
            revision_history_limit: Some(3),
            min_ready_seconds: Some(10),
            update_strategy: Some(update_strategy()),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&cluster.name, part.tier, part.instance)),
                match_expressions: None,
            },
            ..StatefulSetSpec::default()
        }),
        status: None,
    };
    let mut value = serde_json::to_value(whole)?;
    value["spec"]["template"] = template(cluster, &part)?;
    Ok(Object::new(Kind::StatefulSet, place, value))
}

fn update_strategy() -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateStatefulSetStrategy {
            partition: Some(0),
            max_unavailable: None::<IntOrString>,
        }),
    }
}
