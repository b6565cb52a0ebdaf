//! What restarts which pods: a change of their template, and nothing else does.

use std::collections::BTreeSet;

use crds::MailCluster;
use crds::mail_cluster::{Certificate, RebalanceMode};
use crds::service::ServiceType;

use crate::world::{World, cluster, shard};

/// The StatefulSets whose pods restart.
fn restarted(change: impl FnOnce(&mut MailCluster)) -> BTreeSet<String> {
    let before = cluster("full");
    let mut after = before.clone();
    change(&mut after);
    assert_ne!(before, after);
    let before = World::of(&before, &shard("full")).templates();
    let after = World::of(&after, &shard("full")).templates();
    let both = before
        .into_iter()
        .filter(|(name, _)| after.contains_key(name));
    both.filter(|(name, template)| after[name] != *template)
        .map(|(name, _)| name)
        .collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const MX: [&str; 3] = ["full-mx-0", "full-mx-1", "full-mx-2"];
const ETCD: [&str; 3] = ["full-etcd-0", "full-etcd-1", "full-etcd-2"];

#[test]
fn what_never_restarts_a_pod() {
    let nothing: [fn(&mut MailCluster); 14] = [
        |cluster| cluster.spec.domains.clear(),
        |cluster| cluster.spec.shards = 9,
        |cluster| cluster.spec.rebalance.mode = RebalanceMode::Auto,
        |cluster| cluster.spec.rebalance.per_shard.moves = 1,
        |cluster| {
            cluster.spec.tls.certificates.push(Certificate {
                secret_name: "third".to_owned(),
            });
        },
        |cluster| cluster.spec.proxy.services[0].kind = ServiceType::NodePort,
        |cluster| cluster.spec.proxy.services[0].ports[0].port = 996,
        |cluster| cluster.spec.proxy.replicas = Some(7),
        |cluster| cluster.spec.directory.replicas = 5,
        |cluster| cluster.spec.mx.replicas = 4,
        |cluster| cluster.spec.mx.storage.size = "60Gi".to_owned(),
        |cluster| cluster.spec.shard_defaults.storage.size = "300Gi".to_owned(),
        |cluster| cluster.metadata.labels = None,
        |cluster| {
            // The shard says all of it itself.
            cluster.spec.shard_defaults.pod.priority_class_name = None;
        },
    ];
    for (index, change) in nothing.into_iter().enumerate() {
        assert_eq!(restarted(change), names(&[]), "change {index}");
    }
}

#[test]
fn what_restarts_a_tier_restarts_that_tier_alone() {
    let hostname = restarted(|cluster| cluster.spec.hostname = "mail.example.org".to_owned());
    assert_eq!(hostname, names(&MX));
    let doors = restarted(|cluster| drop(cluster.spec.mx.services.pop()));
    assert_eq!(doors, names(&MX));
    let proxy = restarted(|cluster| drop(cluster.spec.proxy.services.remove(0)));
    assert_eq!(proxy, names(&["full-proxy"]));
    let etcd = |cluster: &mut MailCluster| {
        let etcd = cluster.spec.directory.store.etcd.as_mut().unwrap();
        etcd.storage.size = "15Gi".to_owned();
    };
    assert_eq!(restarted(etcd), names(&ETCD));
    let directory = restarted(|cluster| cluster.spec.directory.pod.priority_class_name = None);
    assert_eq!(directory, names(&["full-directory"]));
}

#[test]
fn a_new_release_restarts_all() {
    let all = World::golden("full").templates().into_keys().collect();
    assert_eq!(
        restarted(|cluster| cluster.spec.version = Some("0.1.1".to_owned())),
        all
    );
}

/// What is learnt on the way to the first mail, and later by whoever scales.
#[test]
fn no_fact_but_etcds_ca_restarts_a_pod() {
    let world = World::golden("full");
    let before = world.templates();
    let mut other = World::golden("full");
    other.facts.bootstrapped = false;
    other.facts.proxy_replicas = Some(17);
    other.facts.secrets.clear();
    assert_eq!(other.templates(), before);
    other.facts.etcd_ca = "another".to_owned();
    let after = other.templates();
    let changed = before
        .iter()
        .filter(|(name, template)| after[*name] != **template);
    let changed: BTreeSet<_> = changed.map(|(name, _)| name.clone()).collect();
    assert_eq!(changed, names(&ETCD));
}

/// An mx that is not wanted any more runs until its spool is empty.
#[test]
fn what_leaves_stays_as_it_is() {
    let mut world = World::golden("least");
    let before = world.templates();
    world.cluster.mx.replicas = 1;
    assert!(!world.templates().contains_key("least-mx-1"));
    world.facts.mx_leaving.insert(1);
    assert_eq!(world.templates(), before);
}

/// Who scales the StatefulSet is left alone as long as the spec says nothing.
#[test]
fn the_proxys_replicas_are_somebody_elses_if_nobody_writes_them() {
    let mut world = World::golden("least");
    assert_eq!(world.facts.proxies(&world.cluster), 2);
    world.facts.proxy_replicas = Some(5);
    assert_eq!(world.facts.proxies(&world.cluster), 5);
    world.cluster.proxy.replicas = Some(3);
    assert_eq!(world.facts.proxies(&world.cluster), 3);
}
