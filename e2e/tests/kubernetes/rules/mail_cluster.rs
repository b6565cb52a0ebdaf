//! The rules of MailCluster.

use serde_json::{Value, json};

use super::{Case, refused, taken};

const NAME: &str = "metadata.name: write 1 to 40 of a-z, 0-9 and '-', beginning with a letter; \
                    pods, Services and certificates carry it";
const OTHERS: &str = "metadata.name: do not end it in -ca, -etcd, -directory, -mx, -proxy or \
                      -public: objects of another cluster are called so";
const VERSION: &str = "version: write a release, for example 0.1.0";
const HOSTNAME: &str = "hostname: write a full name in lower case, for example mail.example.org";
const DOMAINS: &str = "domains: write names in lower case, for example example.org, and others in \
                       their xn-- form";
const POSTMASTER: &str = "postmaster: write an address, for example admin@example.org";
const SIZE: &str = "storage.size: write 1Gi or more, for example 100Gi";
const SHRINKS: &str =
    "storage.size: a volume never shrinks; add a smaller shard and drain this one";
const CLASS: &str = "storage.storageClassName: a volume keeps its class; \
                     add shards of the new class and drain the old ones";
const LABELS: &str = "pod.labels: labels that begin with app.kubernetes.io/ or buzonera.dev/ are \
                      the operator's";
const PACE: &str = "rebalance.perShard.bytesPerSecond: write 1Mi to 10Gi, for example 50Mi";

/// What is asked.
pub(super) fn cases() -> Vec<Case> {
    let groups = [names(), words(), domains(), volumes(), etcd(), pods()];
    let more = [services(), ports(), rebalance(), shapes()];
    groups.into_iter().chain(more).flatten().collect()
}

fn names() -> Vec<Case> {
    let longest = "a".repeat(40);
    let mut cases = vec![
        taken("40 letters", named(&longest)),
        refused("41 letters", named(&format!("{longest}a")), NAME),
        refused("a digit first", named("7example"), NAME),
        refused("a dot", named("example.org"), NAME),
        taken("a name that ends as a shard's", named("example-7")),
    ];
    for ending in ["ca", "etcd", "directory", "mx", "proxy", "public"] {
        cases.push(refused(
            "the name of an object",
            named(&format!("a-{ending}")),
            OTHERS,
        ));
    }
    cases
}

fn words() -> Vec<Case> {
    let version = |text: &str| spec(json!({"version": text}));
    let hostname = |text: &str| spec(json!({"hostname": text}));
    vec![
        taken("a release", version("0.1.1")),
        taken("a release before", version("0.2.0-rc.1")),
        refused("no release", version("latest"), VERSION),
        refused("two numbers", version("0.1"), VERSION),
        taken(
            "a name of another script",
            hostname("mail.xn--bcher-kva.example"),
        ),
        refused("one word", hostname("mail"), HOSTNAME),
        refused("capitals", hostname("Mail.example.org"), HOSTNAME),
        refused("a dot at its end", hostname("mail.example.org."), HOSTNAME),
        refused("an address", hostname("192.0.2.1"), HOSTNAME),
    ]
}

fn domains() -> Vec<Case> {
    let domains = |list: Value| spec(json!({"domains": list}));
    let many: Vec<_> = (0..1000)
        .map(|number| json!({"name": format!("{number}.example.org")}))
        .collect();
    vec![
        taken("a thousand", domains(json!(many))),
        refused(
            "capitals",
            domains(json!([{"name": "Example.org"}])),
            DOMAINS,
        ),
        refused(
            "an address",
            domains(json!([{"name": "ana@example.org"}])),
            DOMAINS,
        ),
        refused(
            "one twice",
            domains(json!([{"name": "example.org"}, {"name": "example.org"}])),
            "duplicate entries for key [name=\"example.org\"]",
        ),
        taken(
            "a postmaster",
            domains(json!([{"name": "example.org", "postmaster": "admin@example.org"}])),
        ),
        refused(
            "no address",
            domains(json!([{"name": "example.org", "postmaster": "admin"}])),
            POSTMASTER,
        ),
    ]
}

fn volumes() -> Vec<Case> {
    let class = |name: &str| mx(json!({"storage": {"size": "20Gi", "storageClassName": name}}));
    let defaults = |size: &str, class: &str| {
        let storage = json!({"size": size, "storageClassName": class});
        spec(json!({"shardDefaults": {"storage": storage}}))
    };
    vec![
        refused("too small for mx", mx_size("5M"), SIZE),
        refused("no quantity", mx_size("much"), SIZE),
        refused("too small for shards", defaults("100Mi", "a"), SIZE),
        refused("less than nothing", mx_size("-20Gi"), SIZE),
        taken("it grows", mx_size("30Gi")).was(mx_size("20Gi")),
        taken("the same otherwise written", mx_size("1024Gi")).was(mx_size("1Ti")),
        refused("it shrinks", mx_size("10Gi"), SHRINKS).was(mx_size("20Gi")),
        refused("it shrinks to the default", json!({}), SHRINKS).was(mx_size("30Gi")),
        refused("shards' shrink", defaults("50Gi", "a"), SHRINKS).was(defaults("100Gi", "a")),
        taken("shards' next class", defaults("100Gi", "b")).was(defaults("100Gi", "a")),
        taken("a class where there was none", class("fast")).was(json!({})),
        refused("another class", class("slow"), CLASS).was(class("fast")),
        refused("the class is dropped", mx_size("20Gi"), CLASS).was(class("fast")),
        refused("all of it is dropped", json!({}), CLASS).was(class("fast")),
    ]
}

fn etcd() -> Vec<Case> {
    let members = |count: i32| store(json!({"etcd": {"replicas": count}}));
    let size = |size: &str| store(json!({"etcd": {"storage": {"size": size}}}));
    vec![
        taken("one member", members(1)),
        refused(
            "two members",
            members(2),
            "etcd.replicas: write 3, or 1 for a cluster that may be down with its node",
        ),
        refused(
            "one member more",
            members(3),
            "etcd.replicas: cannot change yet; make a new MailCluster with the number you want",
        )
        .was(members(1)),
        refused("etcd's volume shrinks", size("10Gi"), SHRINKS).was(size("20Gi")),
        refused(
            "no store",
            store(json!({"etcd": null})),
            "directory.store: write etcd: {}; there is no other store yet",
        ),
    ]
}

fn pods() -> Vec<Case> {
    let pod = |pod: Value| spec(json!({"proxy": {"pod": pod}}));
    let label = |key: &str| pod(json!({"labels": {key: "x"}}));
    vec![
        taken("a label", label("example.org/team")),
        refused(
            "a label of the operator's",
            label("app.kubernetes.io/name"),
            LABELS,
        ),
        refused("a label of ours", label("buzonera.dev/tier"), LABELS),
        refused(
            "an annotation of ours",
            pod(json!({"annotations": {"buzonera.dev/release": "9.9.9"}})),
            "pod.annotations: annotations that begin with buzonera.dev/ are the operator's",
        ),
        taken(
            "a number of cores",
            pod(json!({"resources": {"requests": {"cpu": 2}}})),
        ),
        taken(
            "anything in an affinity",
            pod(json!({"affinity": {"of": {"some": ["day"]}}})),
        ),
        refused(
            "seventeen tolerations",
            pod(json!({"tolerations": vec![json!({"operator": "Exists"}); 17]})),
            "must have at most 16 items",
        ),
    ]
}

fn services() -> Vec<Case> {
    let wrong = |service: Value, sentence| refused("a Service", one(&service), sentence);
    let ports = json!([{"name": "pop3s", "port": 995}]);
    vec![
        refused(
            "none",
            proxy(json!([])),
            "services: name at least one; a port that no Service names is not open",
        ),
        refused(
            "two of one name",
            proxy(json!([{"name": "a", "ports": ports}, {"name": "a", "ports": ports}])),
            "duplicate entries for key [name=\"a\"]",
        ),
        wrong(
            json!({"name": "Public"}),
            "services: write a name of 1 to 15 of a-z, 0-9 and '-', beginning with a letter",
        ),
        refused(
            "a name of the operator's",
            mx(json!({"services": [{"name": "rpc", "ports": [{"name": "smtp", "port": 25}]}]})),
            "services: choose another name than rpc, which is the operator's",
        ),
        wrong(
            json!({"type": "ClusterIP", "ports": [{"name": "pop3s", "port": 995, "nodePort": 30995}]}),
            "services: only Services of type NodePort and LoadBalancer have a nodePort",
        ),
        wrong(
            json!({"type": "NodePort", "loadBalancerClass": "x"}),
            "services: only Services of type LoadBalancer have a loadBalancerClass",
        ),
        wrong(
            json!({"type": "ClusterIP", "externalTrafficPolicy": "Local"}),
            "services: only Services of type NodePort and LoadBalancer have an externalTrafficPolicy",
        ),
        wrong(
            json!({"proxyProtocol": {"trustedFrom": ["10.0.0.1"]}}),
            "proxyProtocol.trustedFrom: write networks, for example 10.0.0.0/8",
        ),
        taken(
            "networks",
            one(&json!({"proxyProtocol": {"trustedFrom": ["10.0.0.0/8", "fd00::/8"]}})),
        ),
        wrong(
            json!({"clientCA": {"secretName": "corp-ca"}}),
            "services: clientCA is for a Service with the port lmtp",
        ),
    ]
}

fn ports() -> Vec<Case> {
    let ports = |ports: Value| one(&json!({"ports": ports}));
    let lmtp = |more: Value| {
        let mut service = json!({"name": "relays", "ports": [{"name": "lmtp", "port": 24}]});
        super::merge(&mut service, &more);
        mx(json!({"services": [service]}))
    };
    vec![
        refused(
            "none",
            ports(json!([])),
            "services: name at least one port, for example {name: pop3s, port: 995}",
        ),
        refused(
            "two of one number",
            ports(json!([{"name": "pop3", "port": 995}, {"name": "pop3s", "port": 995}])),
            "services: give each port of a Service a number of its own",
        ),
        refused(
            "a port of another tier",
            ports(json!([{"name": "smtp", "port": 25}])),
            "supported values: \"pop3\", \"pop3s\"",
        ),
        refused(
            "no number of a port",
            ports(json!([{"name": "pop3s", "port": 70000}])),
            "should be less than or equal to 65535",
        ),
        taken(
            "relays with a CA",
            lmtp(json!({"clientCA": {"secretName": "corp-ca"}})),
        ),
        refused(
            "lmtp with PROXY",
            lmtp(json!({"proxyProtocol": {"trustedFrom": ["10.0.0.0/8"]}})),
            "services: lmtp takes no PROXY header; give it a Service without proxyProtocol",
        ),
    ]
}

fn rebalance() -> Vec<Case> {
    let rebalance = |rebalance: Value| spec(json!({"rebalance": rebalance}));
    let pace = |pace: &str| rebalance(json!({"perShard": {"bytesPerSecond": pace}}));
    vec![
        taken("a plan to look at", rebalance(json!({"mode": "DryRun"}))),
        refused(
            "an unknown mode",
            rebalance(json!({"mode": "Off"})),
            "supported values: \"Auto\", \"DryRun\", \"Disabled\"",
        ),
        taken("1Mi", pace("1Mi")),
        refused("five octets", pace("5"), PACE),
        refused("more than any disk", pace("11Gi"), PACE),
        refused(
            "no tolerance",
            rebalance(json!({"tolerancePercent": 0})),
            "should be greater than or equal to 1",
        ),
        refused(
            "65 moves",
            rebalance(json!({"perShard": {"moves": 65}})),
            "should be less than or equal to 64",
        ),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        taken(
            "no shard but those that somebody writes",
            spec(json!({"shards": 0})),
        ),
        refused(
            "less than none",
            spec(json!({"shards": -1})),
            "Invalid value: -1",
        ),
        refused(
            "1001 shards",
            spec(json!({"shards": 1001})),
            "less than or equal to 1000",
        ),
        refused(
            "no hostname",
            spec(json!({"hostname": null})),
            "Required value",
        ),
        refused(
            "a slip of the pen",
            spec(json!({"shard": 3})),
            "field not declared in schema",
        ),
        taken("fewer shards", spec(json!({"shards": 1}))).was(spec(json!({"shards": 3}))),
        refused(
            "one certificate twice",
            spec(json!({"tls": {"certificates": [{"secretName": "a"}, {"secretName": "a"}]}})),
            "duplicate entries for key [secretName=\"a\"]",
        ),
    ]
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn mx(mx: Value) -> Value {
    spec(json!({"mx": mx}))
}

fn mx_size(size: &str) -> Value {
    mx(json!({"storage": {"size": size}}))
}

fn store(store: Value) -> Value {
    spec(json!({"directory": {"store": store}}))
}

fn proxy(services: Value) -> Value {
    spec(json!({"proxy": {"services": services}}))
}

/// The proxy's one Service, with these changes.
fn one(changes: &Value) -> Value {
    let mut service = json!({"name": "public", "ports": [{"name": "pop3s", "port": 995}]});
    super::merge(&mut service, changes);
    proxy(json!([service]))
}
