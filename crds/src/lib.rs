//! What people write for Kubernetes: the kinds of `buzonera.dev/v1alpha1`, and their definitions.
//!
//! Doc comments of fields are what `kubectl explain` shows: they are for whoever writes the objects.
//! The definitions under `charts/buzonera/files` are made from here by `cargo run -p buzonera-crds`.
//!
//! An object with a field that is not known here is read without it: a definition may be newer than
//! the program that reads the objects, and one object must not keep it from all others. The API
//! server refuses such a field, or drops it.

// kube's derive copies each struct, as it stands, into a function.
#![allow(unreachable_pub)]

mod conditions;
pub mod definition;
pub mod mail_cluster;
pub mod mailbox_shard;
pub mod pod;
pub mod service;
pub mod storage;

mod rules;
mod schemas;

pub use mail_cluster::{MailCluster, MailClusterSpec, MailClusterStatus};
pub use mailbox_shard::{MailboxShard, MailboxShardSpec, MailboxShardStatus};

/// For `skip_serializing_if`: what nobody wrote is not written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
