//! A Kubernetes with nodes, on this machine: each node is a set of namespaces in which pods run.
//!
//! Whoever wants one has a [`Cluster`], which is a process of its own ([`keeper`]): it sets up the
//! network ([`switch`]), begins the nodes ([`node`], whose first process is [`inside`]), and then
//! makes [`volumes`] and balances load ([`balancer`]) while they run. What there is stands in
//! [`state`], so that all of it can be ended, whatever became of those that began it.

mod add_ons;
mod addresses;
mod audit;
mod balancer;
mod cluster;
mod commands;
mod files;
mod groups;
pub mod host;
mod identity;
mod inside;
pub mod keeper;
mod node;
mod plan;
mod state;
mod switch;
mod up;
mod volumes;

pub use add_ons::{etcd_image, pod_image};
pub use audit::Write;
pub use cluster::{Cluster, FOLDER, down};
pub use inside::run_node;
pub use keeper::run_keeper;
pub use up::{UpArgs, begin, look_around, provide};
pub use up::{down as run_down, up as run_up};
