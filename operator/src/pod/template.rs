//! A pod's template: a function of release and spec, and of nothing else. So a new operator changes
//! no pod, and whoever changes this changes the golden files.

use std::collections::BTreeMap;

use crds::mail_cluster::PullPolicy;
use crds::pod::Pod;
use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource, LocalObjectReference,
    ObjectFieldSelector, PodSpec, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::ending::Ending;
use super::mount::Mount;
use super::{probes, resources, scheduling, security};
use crate::cluster::Cluster;
use crate::names::labels::{self, Instance, Labels};
use crate::names::{Port, Tier, annotations};

/// What differs from one StatefulSet to the other.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) tier: Tier,
    pub(crate) instance: Instance,
    /// What people say of the pods.
    pub(crate) pod: &'a Pod,
    /// Instead of the image's own.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) ports: Vec<Port>,
    pub(crate) mounts: Vec<Mount>,
    /// Ours, beside the release.
    pub(crate) annotations: Labels,
}

/// The template, as Kubernetes takes it. It is no typed value, since what people wrote of affinity,
/// tolerations and spread is passed on unread.
pub(crate) fn template(cluster: &Cluster, part: &Part<'_>) -> Result<Value, serde_json::Error> {
    let template = PodTemplateSpec {
        metadata: Some(metadata(cluster, part)),
        spec: Some(spec(cluster, part)),
    };
    let tier = labels::selector(&cluster.name, part.tier, Instance::All);
    let mut value = serde_json::to_value(template)?;
    let spec = &mut value["spec"];
    spec["affinity"] = scheduling::affinity(part.pod, &tier);
    spec["tolerations"] = scheduling::tolerations(part.pod).into();
    spec["topologySpreadConstraints"] = scheduling::spread(part.pod, &tier).into();
    Ok(value)
}

/// Ours hold over what people wrote: pods are found by them.
fn metadata(cluster: &Cluster, part: &Part<'_>) -> ObjectMeta {
    let mut labels = part.pod.labels.clone();
    labels.extend(labels::of(&cluster.name, part.tier, part.instance));
    let mut annotations = part.pod.annotations.clone();
    let release = cluster.release.to_string();
    annotations.insert(annotations::RELEASE.to_owned(), release);
    annotations.extend(part.annotations.clone());
    ObjectMeta {
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

fn spec(cluster: &Cluster, part: &Part<'_>) -> PodSpec {
    let secrets = cluster.images.pull_secrets.iter();
    let secrets = secrets.map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        containers: vec![container(cluster, part)],
        volumes: Some(part.mounts.iter().map(Mount::volume).collect()),
        termination_grace_period_seconds: Some(Ending::of(part.tier).grace()),
        automount_service_account_token: Some(false),
        // A thousand Services would fill the environment.
        enable_service_links: Some(false),
        restart_policy: Some("Always".to_owned()),
        dns_policy: Some("ClusterFirst".to_owned()),
        scheduler_name: Some("default-scheduler".to_owned()),
        security_context: Some(security::of_pod(part.tier)),
        image_pull_secrets: filled(secrets.collect()),
        node_selector: filled_map(&part.pod.node_selector),
        priority_class_name: part.pod.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

fn container(cluster: &Cluster, part: &Part<'_>) -> Container {
    let tier = part.tier;
    Container {
        name: tier.as_str().to_owned(),
        image: Some(cluster.images.of(tier).to_owned()),
        image_pull_policy: Some(pull_policy(cluster.images.pull_policy).to_owned()),
        command: part.command.clone(),
        args: Some(part.args.clone()),
        env: filled(part.env.clone()),
        ports: Some(
            part.ports
                .iter()
                .map(|port| container_port(*port))
                .collect(),
        ),
        volume_mounts: Some(part.mounts.iter().map(Mount::mount).collect()),
        resources: Some(resources::of(tier, &part.pod.resources)),
        security_context: Some(security::of_container()),
        startup_probe: Some(probes::startup(tier)),
        liveness_probe: Some(probes::liveness(tier)),
        readiness_probe: Some(probes::readiness(tier)),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        // What a process said last stands in its pod's status, and from there in our conditions.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn container_port(port: Port) -> ContainerPort {
    ContainerPort {
        name: Some(port.name().to_owned()),
        container_port: i32::from(port.number()),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    }
}

/// A variable with a text; `$(NAME)` in it means an earlier one.
pub(crate) fn env_of_text(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

/// A variable with a field of the pod.
pub(crate) fn env_of_field(name: &str, field: &str) -> EnvVar {
    let source = EnvVarSource {
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: field.to_owned(),
        }),
        ..EnvVarSource::default()
    };
    env_from(name, source)
}

/// A variable with what a ConfigMap says under the same name when the container starts.
pub(crate) fn env_of_map(name: &str, map: &str) -> EnvVar {
    let source = EnvVarSource {
        config_map_key_ref: Some(ConfigMapKeySelector {
            name: map.to_owned(),
            key: name.to_owned(),
            optional: None,
        }),
        ..EnvVarSource::default()
    };
    env_from(name, source)
}

fn env_from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}

/// The API server drops what is empty; what is not sent is not missed.
fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn filled_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}
