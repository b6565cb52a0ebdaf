//! Pods: what they mount is there, what Services lead to is open, and nothing needs a right.

use std::collections::BTreeSet;

use operator::objects::Kind;
use serde_json::{Value, json};

use crate::world::{BOTH, World, labels_of};

fn container(template: &Value) -> &Value {
    let containers = template["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn what_is_mounted_is_made() {
    for world in BOTH.map(World::golden) {
        let all = world.all();
        let is_made = |kind: Kind, name: &Value| {
            all.iter()
                .any(|object| object.kind() == kind && object.name() == *name)
        };
        for (set, template) in world.templates() {
            let mut names = BTreeSet::new();
            for volume in list(&template["spec"]["volumes"]) {
                names.insert(volume["name"].clone().to_string());
                let made = [
                    (Kind::Secret, &volume["secret"]["secretName"]),
                    (Kind::ConfigMap, &volume["configMap"]["name"]),
                    (
                        Kind::PersistentVolumeClaim,
                        &volume["persistentVolumeClaim"]["claimName"],
                    ),
                ];
                let made = made.into_iter().filter(|(_, name)| name.is_string());
                let made: Vec<_> = made.map(|(kind, name)| is_made(kind, name)).collect();
                // What somebody else makes keeps no pod from starting.
                if volume["secret"]["optional"] == true {
                    assert_eq!(made, [false], "{set}: {volume}");
                    continue;
                }
                assert_eq!(made, [true], "{set}: {volume}");
            }
            let mounts = list(&container(&template)["volumeMounts"]);
            let mounted: BTreeSet<_> = mounts.map(|mount| mount["name"].to_string()).collect();
            assert_eq!(mounted, names, "{set}");
        }
    }
}

#[test]
fn what_a_service_leads_to_is_open_and_needs_no_right() {
    for world in BOTH.map(World::golden) {
        for (set, template) in world.templates() {
            let ports: Vec<_> = list(&container(&template)["ports"]).collect();
            let names: BTreeSet<_> = ports.iter().map(|port| port["name"].to_string()).collect();
            assert_eq!(names.len(), ports.len(), "{set}");
            assert!(
                ports
                    .iter()
                    .all(|port| port["containerPort"].as_u64() >= Some(1024)),
                "{set}"
            );
            let labels = labels_of(&template["metadata"]["labels"]);
            for service in world.kind(Kind::Service) {
                let spec = &service.value()["spec"];
                let selector = labels_of(&spec["selector"]);
                if selector
                    .iter()
                    .any(|(key, value)| labels.get(key) != Some(value))
                {
                    continue;
                }
                for port in list(&spec["ports"]) {
                    assert!(
                        names.contains(&port["targetPort"].to_string()),
                        "{set}: {port}"
                    );
                }
            }
        }
    }
}

/// Pod Security's level *restricted*, and a probe of each kind.
#[test]
fn a_pod_has_no_rights_and_is_asked_how_it_is() {
    for (set, template) in BOTH.iter().flat_map(|name| World::golden(name).templates()) {
        let spec = &template["spec"];
        let pod = &spec["securityContext"];
        assert_eq!(pod["runAsNonRoot"], true, "{set}");
        assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{set}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{set}");
        assert_eq!(spec["enableServiceLinks"], false, "{set}");
        let container = container(&template);
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], expected, "{set}");
        let ports: Vec<_> = list(&container["ports"])
            .map(|port| port["name"].clone())
            .collect();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let probe = &container[probe];
            assert!(ports.contains(&probe["httpGet"]["port"]), "{set}: {probe}");
            for number in [
                "periodSeconds",
                "timeoutSeconds",
                "successThreshold",
                "failureThreshold",
            ] {
                assert!(probe[number].is_u64(), "{set}: {number}");
            }
        }
    }
}

/// Of tolerations people replace ours by writing about the same taint.
#[test]
fn what_people_write_of_nodes_is_passed_on_unread() {
    let mut cluster = crate::world::cluster("full");
    let newer = json!({"some": {"day": "known"}});
    cluster.spec.proxy.pod.affinity = Some(newer.clone());
    cluster.spec.proxy.pod.topology_spread_constraints = vec![newer.clone()];
    cluster.spec.proxy.pod.tolerations = vec![newer.clone()];
    let templates = World::of(&cluster, &crate::world::shard("full")).templates();
    let proxy = &templates["full-proxy"]["spec"];
    assert_eq!(proxy["affinity"], newer);
    assert_eq!(proxy["topologySpreadConstraints"], json!([newer]));
    assert_eq!(
        proxy["tolerations"].as_array().unwrap().last(),
        Some(&newer)
    );
    let mx = &templates["full-mx-0"]["spec"];
    let keys: Vec<_> = list(&mx["tolerations"])
        .map(|toleration| {
            (
                toleration["key"].as_str().unwrap(),
                &toleration["tolerationSeconds"],
            )
        })
        .collect();
    let expected = [
        ("node.kubernetes.io/unreachable", &json!(60)),
        ("node.kubernetes.io/not-ready", &json!(5)),
    ];
    assert_eq!(keys, expected);
    assert_eq!(mx["affinity"], json!({}));
    let shard = &templates["full-7"]["spec"];
    assert_eq!(shard["topologySpreadConstraints"][0]["topologyKey"], "room");
}
