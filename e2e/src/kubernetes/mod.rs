//! A real Kubernetes, for tests. So far its API alone: an etcd, kube-apiserver and
//! kube-controller-manager on loopback, without a node.

mod access;
mod pki;
mod plane;
pub mod programs;
pub mod shared;

pub use access::{Access, Said};
pub use plane::Plane;
