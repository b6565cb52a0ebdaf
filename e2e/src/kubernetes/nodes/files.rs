//! The files that a node's programs read.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::addresses::{DNS, PODS, pods};

/// Where containerd listens, on the node.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";
/// Debian's place for the plugins that connect pods.
pub(super) const PLUGINS: &str = "/usr/lib/cni";

/// `containerd.toml`: what pods' first processes are of, and no more rights than are there.
pub(super) fn containerd(folder: &Path, pause: &str) -> String {
    let cni = folder.join("cni");
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{}"
"#,
        cni.display()
    )
}

/// `cni/pods.conflist`: pods on a bridge, with addresses of the node's own range.
pub(super) fn network(node: u8) -> Value {
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods(node)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

/// `kubelet.json`: nothing is evicted and no image collected, since the disk is not the node's own.
pub(super) fn kubelet(folder: &Path, pki: &Path, name: &str, groups: &str) -> Value {
    let key = |ending: &str| pki.join(format!("{name}.{ending}"));
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": key("crt"),
        "tlsPrivateKeyFile": key("key"),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{groups}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "10s",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": folder.join("resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    })
}

/// `proxy.json`: this machine's limits of connections stay as they are.
pub(super) fn proxy(kubeconfig: &Path, name: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": name,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}

/// `resolv.conf` of pods that ask the node: it knows no names but its own.
pub(super) fn names() -> String {
    format!("nameserver {}\n", Ipv4Addr::LOCALHOST)
}

/// What the API server notes: every write of a program in a pod that is not Kubernetes' own.
pub(super) fn audit() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {
                "level": "Metadata",
                "userGroups": ["system:serviceaccounts"],
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            },
            {"level": "None"},
        ],
    })
}
