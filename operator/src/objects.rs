//! What is handed to Kubernetes: objects of a few kinds, as JSON.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::names::labels::{self, Instance};
use crate::names::{Owner, Tier};

/// The kinds of what is made or looked at, beside MailClusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Certificates.
    Secret,
    /// What pods are told without a restart.
    ConfigMap,
    /// Names and doors.
    Service,
    /// How many pods may be taken away at once.
    PodDisruptionBudget,
    /// A volume.
    PersistentVolumeClaim,
    /// Pods.
    StatefulSet,
    /// A process; Kubernetes makes it.
    Pod,
    /// A shard.
    MailboxShard,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::PersistentVolumeClaim,
        Self::StatefulSet,
        Self::Pod,
        Self::MailboxShard,
    ];

    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::MailboxShard => ApiResource::erase::<crds::MailboxShard>(&()),
        }
    }

    /// Its name, in messages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
            Self::MailboxShard => "MailboxShard",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// Of an object of a cluster.
    pub fn new(kind: Kind, namespace: &str, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.into(),
        }
    }

    /// Which object something that was seen is.
    pub(crate) fn of(kind: Kind, object: &DynamicObject) -> Self {
        Self {
            kind,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Which tier an object is of, and which of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The tier.
    pub tier: Tier,
    /// Which of it.
    pub instance: Instance,
}

/// One object, as it is to be. It prints without its content, which may be keys.
#[derive(Clone, PartialEq)]
pub struct Object {
    kind: Kind,
    place: Place,
    value: Value,
    version: Option<String>,
}

impl Object {
    /// An object that is written out: `value` has `apiVersion`, `kind` and `metadata.name`.
    pub(crate) fn new(kind: Kind, place: Place, value: Value) -> Self {
        Self {
            kind,
            place,
            value,
            version: None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which tier it is of, and which of it.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Its name; together with kind and namespace it is the only one.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Adds a label.
    pub(crate) fn label(&mut self, key: &str, value: &str) {
        self.value["metadata"]["labels"][key] = value.into();
    }

    /// Adds an annotation.
    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.value["metadata"]["annotations"][key] = value.into();
    }

    /// Gives a StatefulSet's pods another template; none: nothing is said of it.
    pub(crate) fn set_template(&mut self, template: Option<Value>) {
        match (template, self.value["spec"].as_object_mut()) {
            (Some(template), _) => self.value["spec"]["template"] = template,
            (None, Some(spec)) => drop(spec.remove("template")),
            (None, None) => {}
        }
    }

    /// It was decided by this version of what is there, and holds for no other.
    pub(crate) fn decided_by(&mut self, live: &DynamicObject) {
        self.version.clone_from(&live.metadata.resource_version);
    }

    /// The version that it was decided by, if it was by one.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Name and uid of the MailCluster that it goes with; none: it stays.
    pub(crate) fn owner(&self) -> Option<(&str, &str)> {
        let owner = self.value.pointer("/metadata/ownerReferences/0")?;
        Some((owner["name"].as_str()?, owner["uid"].as_str()?))
    }

    /// Which one it is.
    pub fn key(&self) -> Key {
        let namespace = self.value["metadata"]["namespace"].as_str();
        Key::new(self.kind, namespace.unwrap_or_default(), self.name())
    }

    /// As the API server takes it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Likewise.
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name())
    }
}

/// Everything that is to be, in the order in which it is made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prepared {
    /// Objects to be applied: each is to be as it stands here.
    pub objects: Vec<Object>,
    /// Volumes. They are created once, and only made larger after that; never applied.
    pub claims: Vec<Object>,
}

impl Prepared {
    /// Adds what another part prepared.
    pub fn extend(&mut self, other: Self) {
        let Self { objects, claims } = other;
        self.objects.extend(objects);
        self.claims.extend(claims);
    }
}

/// Files by name, as a Secret has them. Prints the names alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Of an object that goes with its MailCluster. What people wrote on the MailCluster itself is never
/// copied: tools that own it would take the copies for theirs.
pub(crate) fn metadata(cluster: &Cluster, owner: &Owner, place: Place, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels::of(&cluster.name, place.tier, place.instance)),
        owner_references: Some(vec![owner.reference()]),
        ..ObjectMeta::default()
    }
}

/// Of an object that stays.
pub(crate) fn kept_metadata(cluster: &Cluster, place: Place, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels::of_kept(&cluster.name, place.tier, place.instance)),
        ..ObjectMeta::default()
    }
}
