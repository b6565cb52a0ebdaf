//! Kubernetes' own programs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::go::{Module, Program};
use crate::places;

/// Its Go module. The version is told to the linker, as Kubernetes' own build does; without it the
/// API server calls itself v0.0.0.
pub const MODULE: Module = Module {
    name: "kubernetes",
    title: "Kubernetes 1.34.4",
    cost: "about 6 minutes, 3 GB of Go's cache",
    linker_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
                   -X k8s.io/component-base/version.gitMajor=1 \
                   -X k8s.io/component-base/version.gitMinor=34",
    programs: &[
        Program {
            name: "kube-apiserver",
            package: "k8s.io/kubernetes/cmd/kube-apiserver",
        },
        Program {
            name: "kube-controller-manager",
            package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        },
        Program {
            name: "kube-proxy",
            package: "k8s.io/kubernetes/cmd/kube-proxy",
        },
        Program {
            name: "kube-scheduler",
            package: "k8s.io/kubernetes/cmd/kube-scheduler",
        },
        Program {
            name: "kubelet",
            package: "k8s.io/kubernetes/cmd/kubelet",
        },
        Program {
            name: "kubectl",
            package: "k8s.io/kubernetes/cmd/kubectl",
        },
    ],
};

/// One of them.
pub(super) fn path(name: &str) -> Result<PathBuf> {
    let built = places::tools().join(name);
    let found = built.is_file().then_some(built);
    found.with_context(|| format!("{name} is missing: {BUILD}"))
}

/// An etcd.
pub(super) fn etcd() -> Result<PathBuf> {
    places::etcd().with_context(|| format!("etcd 3.6 is missing: {BUILD}"))
}

const BUILD: &str = "`cargo e2e test --only kubernetes` builds it";
