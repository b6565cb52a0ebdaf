//! The rules of MailboxShard.

use serde_json::{Value, json};

use super::{Case, refused, taken};

const NAME: &str = "metadata.name: write CLUSTER-NUMBER, for example example-7; \
                    the number must be one that the cluster has not used";
const STAYS: &str = "clusterName: a shard stays in its cluster; move the accounts instead";
const SHRINKS: &str =
    "storage.size: a volume never shrinks; add a smaller shard and drain this one";
const CLASS: &str = "storage.storageClassName: a volume keeps its class; \
                     add shards of the new class and drain the old ones";

/// What is asked.
pub(super) fn cases() -> Vec<Case> {
    let mut all = names();
    all.extend(volumes());
    all.extend(others());
    all
}

fn names() -> Vec<Case> {
    vec![
        taken("a number", named("example-7")),
        taken("the first number", named("example-0")),
        taken("six digits", named("example-999999")),
        refused("seven digits", named("example-1000000"), NAME),
        refused("no number", named("example-x"), NAME),
        refused("a leading zero", named("example-07"), NAME),
        refused("another cluster's name", named("other-7"), NAME),
        refused(
            "a name of a cluster that begins alike",
            named("example-b-7"),
            NAME,
        ),
        refused(
            "a cluster's name that none can have",
            json!({"metadata": {"name": "7a-1"}, "spec": {"clusterName": "7a"}}),
            "clusterName: write the name of a MailCluster, for example example",
        ),
        refused(
            "another cluster",
            json!({"spec": {"clusterName": "exampl"}}),
            NAME,
        ),
    ]
}

fn volumes() -> Vec<Case> {
    let class = |name: &str| json!({"spec": {"storage": {"storageClassName": name}}});
    vec![
        taken("a size of its own", size("200Gi")),
        taken("a class of its own", class("fast")),
        refused(
            "too small",
            size("1Mi"),
            "storage.size: write 1Gi or more, for example 100Gi",
        ),
        taken("it grows", size("300Gi")).was(size("200Gi")),
        refused("it shrinks", size("100Gi"), SHRINKS).was(size("200Gi")),
        taken("it follows the defaults again", json!({})).was(size("200Gi")),
        refused("another class", class("slow"), CLASS).was(class("fast")),
        refused("the class is dropped", size("200Gi"), CLASS).was(json!({"spec": {"storage":
            {"size": "200Gi", "storageClassName": "fast"}}})),
        refused("the volume is dropped", json!({}), CLASS).was(class("fast")),
    ]
}

fn others() -> Vec<Case> {
    vec![
        taken("a mode", json!({"spec": {"mode": "Stopped"}})),
        refused(
            "an unknown mode",
            json!({"spec": {"mode": "Asleep"}}),
            "supported values: \"Active\", \"Cordoned\", \"Drained\", \"Stopped\"",
        ),
        taken("a weight", json!({"spec": {"weight": 1000}})),
        refused(
            "no weight at all",
            json!({"spec": {"weight": 0}}),
            "spec.weight in body should be greater than or equal to 1",
        ),
        refused(
            "a status of ours",
            json!({"spec": {"state": "Lost"}}),
            "field not declared in schema",
        ),
        refused(
            "it goes to another cluster",
            json!({"metadata": {"name": "a-b-1"}, "spec": {"clusterName": "a"}}),
            STAYS,
        )
        .and(NAME)
        .was(json!({"metadata": {"name": "a-b-1"}, "spec": {"clusterName": "a-b"}})),
    ]
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn size(size: &str) -> Value {
    json!({"spec": {"storage": {"size": size}}})
}
