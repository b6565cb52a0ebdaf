//! What Kubernetes' programs are told, with nodes or without.

use std::fmt::Display;
use std::path::Path;

/// Addresses of Services, of the range for tests of networks (RFC 2544).
const SERVICES: &str = "198.19.0.0/17";

/// `--NAME=VALUE`.
pub(super) fn flag(name: &str, value: impl Display) -> String {
    format!("--{name}={value}")
}

/// Nothing of it outlives the test, so it need not wait for the disk.
pub(super) fn etcd(data: &Path, client: &str, peer: &str) -> Vec<String> {
    vec![
        flag("data-dir", data.display()),
        flag("listen-client-urls", client),
        flag("advertise-client-urls", client),
        flag("listen-peer-urls", peer),
        flag("initial-advertise-peer-urls", peer),
        flag("initial-cluster", format!("default={peer}")),
        "--unsafe-no-fsync".to_owned(),
    ]
}

/// The API server's, but for where it listens.
pub(super) fn apiserver(pki: &Path, store: &str) -> Vec<String> {
    let file = |name: &str| pki.join(name).display().to_string();
    vec![
        flag("etcd-servers", store),
        flag("service-cluster-ip-range", SERVICES),
        flag("tls-cert-file", file("apiserver.crt")),
        flag("tls-private-key-file", file("apiserver.key")),
        flag("client-ca-file", file("ca.crt")),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("service-account-key-file", file("tokens.pub")),
        flag("service-account-signing-key-file", file("tokens.key")),
    ]
}

/// The controllers'. There is one of them, which therefore leads.
pub(super) fn controllers(pki: &Path, kubeconfig: &Path) -> Vec<String> {
    let file = |name: &str| pki.join(name).display().to_string();
    vec![
        flag("kubeconfig", kubeconfig.display()),
        flag("service-account-private-key-file", file("tokens.key")),
        flag("root-ca-file", file("ca.crt")),
        flag("leader-elect", false),
        // As many requests as there is to do: its default keeps them waiting for seconds.
        flag("kube-api-qps", 500),
        flag("kube-api-burst", 1000),
        // It would serve its health where another run's does.
        flag("secure-port", 0),
    ]
}
