//! Who finds what: selectors that never change, and labels that no tool of others acts on.

use std::collections::{BTreeMap, BTreeSet};

use operator::names::Tier;
use operator::names::labels::{CLUSTER, ORDINAL, SHARD, TIER};
use operator::objects::{Kind, Object};
use serde_json::Value;

use crate::world::{BOTH, World, labels_of};

type Labels = BTreeMap<String, String>;

/// Where a kind has its selector.
fn selector(object: &Object) -> Option<Labels> {
    let spec = &object.value()["spec"];
    match object.kind() {
        Kind::Service => Some(labels_of(&spec["selector"])),
        Kind::StatefulSet | Kind::PodDisruptionBudget => {
            Some(labels_of(&spec["selector"]["matchLabels"]))
        }
        Kind::Secret
        | Kind::ConfigMap
        | Kind::PersistentVolumeClaim
        | Kind::Pod
        | Kind::MailboxShard => None,
    }
}

fn selects(selector: &Labels, pod: &Labels) -> bool {
    selector
        .iter()
        .all(|(key, value)| pod.get(key) == Some(value))
}

/// All pods of clusters whose names begin alike, by tier.
fn pods(worlds: &[World]) -> Vec<(String, Labels)> {
    let templates = worlds.iter().flat_map(World::templates);
    templates
        .map(|(name, template)| (name, labels_of(&template["metadata"]["labels"])))
        .collect()
}

#[test]
fn a_selector_has_no_version_and_nothing_that_people_write() {
    for object in BOTH.iter().flat_map(|name| World::golden(name).all()) {
        let Some(selector) = selector(&object) else {
            continue;
        };
        let keys: BTreeSet<_> = selector.keys().map(String::as_str).collect();
        assert!(keys.contains(CLUSTER) && keys.contains(TIER), "{object:?}");
        let others = keys
            .difference(&BTreeSet::from([CLUSTER, TIER, SHARD, ORDINAL]))
            .count();
        assert_eq!(others, 0, "{object:?}: {keys:?}");
    }
}

/// A Service leads to its own tier of its own cluster, and a StatefulSet counts its own pods alone.
#[test]
fn a_selector_finds_its_own_pods() {
    let worlds = ["a", "a-b", "a-0", "full"].map(|name| match name {
        "full" => World::golden(name),
        name => World::named(name),
    });
    let pods = pods(&worlds);
    for world in &worlds {
        for object in world.all() {
            let Some(selector) = selector(&object) else {
                continue;
            };
            let found: BTreeSet<_> = pods
                .iter()
                .filter(|(_, labels)| selects(&selector, labels))
                .map(|(name, _)| name.clone())
                .collect();
            let own = match object.kind() {
                Kind::StatefulSet => BTreeSet::from([object.name().to_owned()]),
                _ => sets_of_tier(world, object.place().tier),
            };
            assert_eq!(found, own, "{object:?}");
        }
    }
}

fn sets_of_tier(world: &World, tier: Tier) -> BTreeSet<String> {
    let sets = world.kind(Kind::StatefulSet).into_iter();
    sets.filter(|set| set.place().tier == tier)
        .map(|set| set.name().to_owned())
        .collect()
}

/// A tool that keeps an application's objects like its repository finds them by such a label, and
/// deletes those that the repository does not have.
#[test]
fn what_stays_has_labels_of_ours_alone_and_no_owner() {
    for world in BOTH.map(World::golden) {
        let owner = &world.facts.owner;
        for object in world.all() {
            let metadata = &object.value()["metadata"];
            let labels = labels_of(&metadata["labels"]);
            match object.kind() {
                Kind::PersistentVolumeClaim => {
                    assert!(labels.keys().all(|key| key.starts_with("buzonera.dev/")));
                    assert_eq!(metadata["ownerReferences"], Value::Null, "{object:?}");
                }
                _ => {
                    assert_eq!(labels["app.kubernetes.io/instance"], owner.name.as_str());
                    let reference = &metadata["ownerReferences"][0];
                    assert_eq!(reference["uid"], owner.uid.as_str());
                    assert_eq!(reference["controller"], true);
                    assert_eq!(reference["blockOwnerDeletion"], false);
                }
            }
        }
    }
}

#[test]
fn nothing_that_stands_on_the_mailcluster_itself_is_copied() {
    for object in World::golden("full").all() {
        let text = object.value().to_string();
        assert!(!text.contains("never"), "{object:?}");
    }
}

#[test]
fn the_root_has_labels_of_ours_alone_and_no_owner() {
    let world = World::golden("least");
    let files = operator::objects::Files::default();
    let root = operator::cluster::build::secrets::root(&world.cluster.name, "mail", &files);
    assert_eq!(root.metadata.name.as_deref(), Some("least-ca"));
    assert_eq!(root.metadata.owner_references, None);
    let labels = root.metadata.labels.unwrap();
    assert!(labels.keys().all(|key| key.starts_with("buzonera.dev/")));
}
