//! A real Kubernetes, for tests: its API alone (an etcd, kube-apiserver and kube-controller-manager
//! on loopback, without a node), or with nodes.

mod access;
mod flags;
mod kubelet;
pub mod nodes;
mod pki;
mod plane;
pub mod platform;
pub mod programs;
pub mod shared;

pub use access::{Access, Said};
pub use kubelet::Kubelet;
pub use plane::Plane;
pub use platform::Platform;
