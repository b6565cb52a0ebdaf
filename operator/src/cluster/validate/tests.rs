use super::*;
use crate::names::Port;

const LEAST: &str = "{apiVersion: buzonera.dev/v1alpha1, kind: MailCluster, \
                     metadata: {name: example, namespace: mail}, \
                     spec: {hostname: mail.example.org, shards: 1MORE}}";

fn release(text: &str) -> Release {
    text.parse().unwrap()
}

fn operator() -> Operator {
    Operator {
        release: release("0.2.1"),
        registry: "registry.example.org/mail".to_owned(),
        etcd_image: "registry.example.org/etcd:v3.6.16".to_owned(),
    }
}

fn pinned(text: &str) -> Pinned {
    Pinned {
        release: release(text),
        registry: "old.example.org".to_owned(),
    }
}

fn with_pinned(more: &str, pinned: Option<&Pinned>) -> Result<Cluster, Invalid> {
    let object = serde_saphyr::from_str(&LEAST.replace("MORE", more)).unwrap();
    validate(&object, &operator(), pinned)
}

fn with(more: &str) -> Result<Cluster, Invalid> {
    with_pinned(more, None)
}

/// What a spec means that says as little as it can.
pub(crate) fn least() -> Cluster {
    with("").unwrap()
}

#[test]
fn two_fields_are_enough() {
    let cluster = with("").unwrap();
    assert_eq!(cluster.release, release("0.2.1"));
    assert_eq!(
        cluster.images.storage,
        "registry.example.org/mail/buzonera-storage:0.2.1"
    );
    assert_eq!(cluster.images.etcd, "registry.example.org/etcd:v3.6.16");
    assert_eq!(cluster.etcd.quota(), 8 << 30);
    assert_eq!(cluster.rebalance.bytes_per_second, 50 << 20);
    assert_eq!((cluster.mx.replicas, cluster.proxy.replicas), (2, None));
    assert!(cluster.mx.doors.lead_to(Port::Smtp) && !cluster.mx.doors.lead_to(Port::Lmtp));
    let pop3s = &cluster.proxy.doors.services[0].ports[0];
    assert_eq!((pop3s.number, pop3s.target), (995, Port::Pop3s));
}

#[test]
fn what_was_pinned_holds_until_somebody_writes_something_else() {
    let old = pinned("0.1.4");
    let cluster = with_pinned("", Some(&old)).unwrap();
    assert_eq!(cluster.images.mx, "old.example.org/buzonera-mx:0.1.4");
    let cluster = with_pinned(
        ", version: 0.2.0, image: {registry: new.example.org}",
        Some(&old),
    );
    assert_eq!(
        cluster.unwrap().images.mx,
        "new.example.org/buzonera-mx:0.2.0"
    );
    let cluster = with_pinned(", image: {registry: ''}", Some(&old)).unwrap();
    assert_eq!(cluster.registry, "old.example.org");
}

#[test]
fn an_operator_leaves_a_release_alone_that_it_does_not_know() {
    for old in ["0.0.9", "0.3.0"] {
        let invalid = with_pinned("", Some(&pinned(old))).unwrap_err();
        assert_eq!(invalid.reason(), "ReleaseUnsupported");
        assert!(invalid.to_string().starts_with("version: "), "{invalid}");
    }
    let invalid = with_pinned(", version: 0.3.0", Some(&pinned("0.2.0"))).unwrap_err();
    assert_eq!(invalid.reason(), "InvalidSpec");
    let sentence = "version: this operator of 0.2.1 makes releases of 0.1 and 0.2, and not 0.3.0; \
                    write 0.2.1, or install an operator of 0.3 first";
    assert_eq!(invalid.to_string(), sentence);
}

/// Whatever the API server lets through and cannot be done begins with its field.
#[test]
fn a_sentence_names_the_field() {
    for (more, field) in [
        (", version: 0.2", "version: "),
        (", image: {registry: 'https://a'}", "image.registry: "),
        (", domains: [{name: Example.org}]", "domains: "),
        (
            ", domains: [{name: a.org, postmaster: a b@a.org}]",
            "domains: a.org: postmaster",
        ),
        (
            ", shardDefaults: {storage: {size: 1e12}}",
            "shardDefaults.storage.size: ",
        ),
        (
            ", shardDefaults: {storage: {size: 1Mi}}",
            "shardDefaults.storage.size: ",
        ),
        (", mx: {storage: {size: 1500m}}", "mx.storage.size: "),
        (", mx: {replicas: 0}", "mx.replicas: 0"),
        (", proxy: {replicas: 101}", "proxy.replicas: 101"),
        (", directory: {replicas: 6}", "directory.replicas: 6"),
        (", directory: {store: {}}", "directory.store: "),
        (
            ", directory: {store: {etcd: {replicas: 2}}}",
            "directory.store.etcd.replicas: 2",
        ),
        (
            ", directory: {store: {etcd: {image: etcd}}}",
            "directory.store.etcd.image: ",
        ),
        (
            ", directory: {store: {etcd: {storage: {size: 20GB}}}}",
            "directory.store.etcd.storage.size: ",
        ),
        (
            ", rebalance: {tolerancePercent: 51}",
            "rebalance.tolerancePercent: 51",
        ),
        (
            ", rebalance: {perShard: {moves: 0}}",
            "rebalance.perShard.moves: 0",
        ),
        (
            ", rebalance: {perShard: {bytesPerSecond: 11Gi}}",
            "rebalance.perShard.bytesPerSecond: ",
        ),
        (
            ", proxy: {services: [{name: b-etcd, ports: [{name: pop3s, port: 995}]}]}",
            "proxy.services: \"b-etcd\": ",
        ),
        (
            ", mx: {services: [{name: a, ports: [{name: smtp, port: 0}]}]}",
            "mx.services: a: 0 is no port",
        ),
        (
            ", proxy: {services: [{name: a, proxyProtocol: {trustedFrom: [10.0.0.0/33]}, \
             ports: [{name: pop3s, port: 995}]}]}",
            "proxy.services: a: proxyProtocol.trustedFrom: ",
        ),
        (
            ", mx: {services: [{name: a, ports: [{name: smtp, port: 25, nodePort: 30001}]}]}, \
             proxy: {services: [{name: b, ports: [{name: pop3s, port: 995, nodePort: 30001}]}]}",
            "services: nodePort 30001 is written for mx.services a smtp and for proxy.services b",
        ),
        (
            ", mx: {services: [{name: a, ports: [{name: lmtp, port: 24}], \
             clientCA: {secretName: x}}, {name: b, ports: [{name: lmtp, port: 24}]}]}",
            "mx.services: a and b have the port lmtp",
        ),
    ] {
        let invalid = with(more).expect_err(more).to_string();
        assert!(invalid.starts_with(field), "{more}: {invalid}");
    }
}

#[test]
fn names_and_numbers_of_the_object_itself() {
    for (change, field) in [
        (("name: example,", "name: example-mx,"), "metadata.name: "),
        ((", namespace: mail", ""), "metadata.namespace: "),
        (
            ("hostname: mail.example.org", "hostname: '[192.0.2.1]'"),
            "hostname: ",
        ),
        (
            ("hostname: mail.example.org", "hostname: Mail.example.org"),
            "hostname: ",
        ),
        (("shards: 1", "shards: 1001"), "shards: 1001"),
    ] {
        let text = LEAST.replace("MORE", "").replace(change.0, change.1);
        let object = serde_saphyr::from_str(&text).unwrap();
        let invalid = validate(&object, &operator(), None)
            .expect_err(change.1)
            .to_string();
        assert!(invalid.starts_with(field), "{change:?}: {invalid}");
    }
}

#[test]
fn a_service_behind_a_balancer_has_container_ports_of_its_own() {
    let cluster = with(
        ", proxy: {services: [{name: public, proxyProtocol: {trustedFrom: [10.0.0.0/8]}, \
         ports: [{name: pop3s, port: 995}]}, {name: inside, type: ClusterIP, \
         ports: [{name: pop3s, port: 995}]}, {name: more, proxyProtocol: {trustedFrom: \
         ['fd00::/8', 10.0.0.0/8]}, ports: [{name: pop3, port: 110}]}]}",
    );
    let doors = cluster.unwrap().proxy.doors;
    let targets = doors.services.iter().map(|service| service.ports[0].target);
    let expected = [Port::Pop3sProxied, Port::Pop3s, Port::Pop3Proxied];
    assert_eq!(targets.collect::<Vec<_>>(), expected);
    let trusted: Vec<_> = doors.trusted.into_iter().collect();
    assert_eq!(trusted, ["10.0.0.0/8", "fd00::/8"]);
    let traffic: Vec<_> = doors
        .services
        .iter()
        .map(|service| service.traffic)
        .collect();
    let local = Some(crds::service::ExternalTrafficPolicy::Local);
    assert_eq!(traffic, [local, None, local]);
}

#[test]
fn all_who_hand_mail_in_show_certificates_of_one_ca() {
    let cluster = with(
        ", mx: {services: [{name: a, ports: [{name: lmtp, port: 24}], clientCA: {secretName: x}}, \
         {name: b, ports: [{name: smtp, port: 25}]}, {name: c, ports: [{name: lmtp, port: 25}], \
         clientCA: {secretName: x}}]}",
    );
    assert_eq!(cluster.unwrap().mx.client_ca.as_deref(), Some("x"));
    let cluster = with(", mx: {services: [{name: a, ports: [{name: lmtp, port: 24}]}]}");
    assert_eq!(cluster.unwrap().mx.client_ca, None);
}
