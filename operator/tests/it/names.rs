//! Names: short enough for everything that carries them, and nobody else's.

use std::collections::BTreeSet;

use operator::names::{ClusterName, is_service_name};
use operator::objects::{Kind, Object};
use proptest::prelude::*;

use crate::world::{BOTH, World};

/// The longest name of a cluster, with the longest name of a Service and the highest number.
fn longest() -> World {
    let name = "a".repeat(40);
    let mut cluster = crate::world::cluster("full");
    cluster.metadata.name = Some(name.clone());
    let service = "b".repeat(15);
    cluster.spec.mx.services[0].name.clone_from(&service);
    cluster.spec.proxy.services[0].name = service;
    cluster.spec.mx.replicas = 100;
    let mut shard = crate::world::shard("full");
    shard.metadata.name = Some(format!("{name}-999999"));
    shard.spec.cluster_name = name;
    World::of(&cluster, &shard)
}

/// RFC 1035 section 2.3.4. Of a StatefulSet also what Kubernetes makes of it: names of pods, and the
/// name with a hash of ten as a label.
#[test]
fn the_longest_names_are_short_enough() {
    for object in longest().all() {
        let room = match object.kind() {
            Kind::StatefulSet => "-0123456789".len(),
            _ => 0,
        };
        assert!(object.name().len() + room <= 63, "{object:?}");
        assert!(wire::ids::is_label(object.name()), "{object:?}");
    }
}

#[test]
fn labels_are_short_enough() {
    for object in longest().all() {
        for value in crate::world::labels_of(&object.value()["metadata"]["labels"]).values() {
            assert!(value.len() <= 63, "{value}");
        }
    }
}

fn called(object: &Object) -> (Kind, String) {
    (object.kind(), object.name().to_owned())
}

#[test]
fn nothing_is_called_like_something_else() {
    let names = [
        "a", "a-b", "a-0", "a-0-0", "a-shards", "a-peers", "a-admin", "mx", "a-mxx",
    ];
    let worlds: Vec<_> = names
        .into_iter()
        .map(World::named)
        .chain(BOTH.map(World::golden))
        .collect();
    let all: Vec<_> = worlds.iter().flat_map(World::all).collect();
    let different: BTreeSet<_> = all.iter().map(called).collect();
    assert_eq!(different.len(), all.len());
}

/// The names that would be called like something else are no names of clusters.
#[test]
fn a_cluster_is_not_called_like_a_part_of_another() {
    let parts = World::named("a").all();
    for ending in ["ca", "etcd", "directory", "mx", "proxy", "public"] {
        let name = format!("a-{ending}");
        assert!(name.parse::<ClusterName>().is_err(), "{name}");
    }
    // That is not too much: cluster `a-mx` would have its shard 0 where `a` has its mx 0.
    let mx = (Kind::StatefulSet, "a-mx-0".to_owned());
    assert!(parts.iter().any(|object| called(object) == mx));
}

/// Words of which ours are made, and others.
fn words(longest: usize) -> impl Strategy<Value = String> {
    let words = [
        "a",
        "b",
        "0",
        "mx",
        "rpc",
        "proxy",
        "public",
        "etcd",
        "client",
        "directory",
        "shards",
        "ca",
        "peers",
        "admin",
    ];
    let joined = prop::collection::vec(prop::sample::select(words.to_vec()), 1..=longest);
    joined.prop_map(|words| words.join("-"))
}

fn service() -> impl Strategy<Value = String> {
    let is_free = |name: &String| is_service_name(name) && name != "rpc";
    words(4).prop_filter("a name of ours", is_free)
}

/// Two names of clusters, one of which begins with the other.
fn clusters() -> impl Strategy<Value = [String; 2]> {
    let pair = (words(2), words(3)).prop_map(|(name, more)| {
        let longer = format!("{name}-{more}");
        [name, longer]
    });
    pair.prop_filter("a name of ours", |names| {
        names.iter().all(|name| name.parse::<ClusterName>().is_ok())
    })
}

/// A cluster, with these Services in front of mx and proxies.
fn with_services(name: &str, [mx, proxy]: &[String; 2]) -> World {
    let mut cluster = crate::world::cluster("least");
    cluster.metadata.name = Some(name.to_owned());
    cluster.spec.mx.services[0].name.clone_from(mx);
    cluster.spec.proxy.services[0].name.clone_from(proxy);
    let mut shard = crate::world::shard("least");
    shard.metadata.name = Some(format!("{name}-0"));
    shard.spec.cluster_name = name.to_owned();
    World::of(&cluster, &shard)
}

proptest! {
    /// Whatever people call clusters and Services.
    #[test]
    fn no_two_clusters_have_a_name_in_common(
        names in clusters(),
        services in [[service(), service()], [service(), service()]],
    ) {
        let worlds = [0, 1].map(|index| with_services(&names[index], &services[index]));
        let [one, other] = worlds.map(|world| {
            world.all().iter().map(called).collect::<BTreeSet<_>>()
        });
        let both: Vec<_> = one.intersection(&other).collect();
        prop_assert!(both.is_empty(), "{:?} {:?}: {:?}", names, services, both);
    }
}
