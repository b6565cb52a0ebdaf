//! Whether every account is served, and what is in the way.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use wire::rpc::ShardInfo;

use super::super::Look;
use super::super::observe::Seen;
use super::Outcome;
use super::stalled::alarm;
use crate::cluster::Cluster;
use crate::conditions::{Holds, Said};
use crate::directory::{Reachable, View};
use crate::root::Root;

/// The condition Ready. `restarting`: what is away in its turn, and will be back in a moment.
pub(super) fn ready(
    look: &Look<'_>,
    root: &Root,
    view: &View,
    restarting: Option<&str>,
    outcome: &Outcome,
) -> Said {
    let Look { cluster, seen, .. } = look;
    let not = |reason, message: String| {
        // Pods that nobody makes are behind most of it.
        let message = match &outcome.refused {
            Some(refused) => format!("{message}; {refused}"),
            None => message,
        };
        Said::new("Ready", Holds::False, reason, message)
    };
    if outcome.store_is_empty {
        return not(
            "EtcdUnavailable",
            "the directory's store is empty".to_owned(),
        );
    }
    match view.reachable() {
        Reachable::Answering => {}
        Reachable::NoStore if root.record.bootstrapped => {
            let text = "etcd does not answer: its pods, or a quorum of them, are away; mail waits, \
                        and logins are refused for the time being";
            return not("EtcdUnavailable", text.to_owned());
        }
        Reachable::NoReplica | Reachable::Loading if root.record.bootstrapped => {
            let text = "no replica of the directory answers with what it knows";
            return not("DirectoryUnavailable", text.to_owned());
        }
        Reachable::NoStore | Reachable::NoReplica | Reachable::Loading | Reachable::Empty => {
            return not("Provisioning", provisioning(cluster, seen));
        }
    }
    if let Some(text) = view.alarms().into_iter().find_map(alarm) {
        return not("EtcdUnavailable", text.to_owned());
    }
    if let Some(text) = shards(cluster, view, restarting) {
        return not("ShardsNotServing", text);
    }
    if let Some(text) = tiers(cluster, seen, restarting) {
        return not("TierNotReady", text);
    }
    Said::new("Ready", Holds::True, "Ready", "every account is served")
}

/// Which pods are waited for, before there is a directory.
fn provisioning(cluster: &Cluster, seen: &Seen) -> String {
    let members = (0..cluster.etcd.members).map(|ordinal| cluster.name.etcd_member(ordinal));
    let first = [cluster.name.directory()];
    let waiting = members.chain(first).find_map(|name| is_short(seen, &name));
    waiting.unwrap_or_else(|| "the directory's store is being made".to_owned())
}

/// Shards that do not serve, or are not there yet.
fn shards(cluster: &Cluster, view: &View, restarting: Option<&str>) -> Option<String> {
    view.shards.as_ref()?;
    let there: Vec<_> = view.shards_there().collect();
    let is_away = |shard: &&&ShardInfo| !shard.serving && restarting != Some(shard.name.as_str());
    let away: Vec<_> = there.iter().filter(is_away).collect();
    if let Some(first) = away.first() {
        let text = format!(
            "{} of {} shards do not serve: {}",
            away.len(),
            there.len(),
            first.name
        );
        return Some(text);
    }
    let wanted = usize::try_from(cluster.shards).unwrap_or(usize::MAX);
    let is_short = there.len() < wanted;
    is_short.then(|| format!("{} of {wanted} shards are there", there.len()))
}

/// A tier that has fewer pods ready than it is to have.
fn tiers(cluster: &Cluster, seen: &Seen, restarting: Option<&str>) -> Option<String> {
    let mx = (0..cluster.mx.replicas).map(|ordinal| cluster.name.mx(ordinal));
    let members = (0..cluster.etcd.members).map(|ordinal| cluster.name.etcd_member(ordinal));
    let names = [cluster.name.directory(), cluster.name.proxy()];
    names
        .into_iter()
        .chain(mx)
        .chain(members)
        .filter(|name| restarting != Some(name))
        .find_map(|name| is_short(seen, &name))
}

fn is_short(seen: &Seen, name: &str) -> Option<String> {
    let Some(set) = seen.sets.get(name) else {
        return Some(format!("{name} is not there yet"));
    };
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let ready = ready_replicas(set);
    (ready < wanted).then(|| format!("{}: {ready} of {wanted} pods are ready", set.name_any()))
}

fn ready_replicas(set: &StatefulSet) -> i32 {
    let status = set.status.as_ref();
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}
