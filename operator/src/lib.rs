//! The operator: keeps mail platforms on Kubernetes as people describe them.
//!
//! ```text
//! run         the controllers: what changes, and whom it concerns
//! cluster     MailCluster: validate ──► Cluster ──► build ──┐      reconcile: one look after the other
//! shard       MailboxShard: shape ────► Shard ────► build ──┴─► objects: what is to be
//!                           decide: what is done with a shard next        leaving: which shards go
//! mx          what is done with one that is not wanted any more
//! rollout     whose turn it is to restart when templates change
//! root        NAME-ca: the id, both CAs, and the record of what was made
//! identities  certificates: which are wanted, due, and how they are made
//! rebalance   which accounts move, round by round
//! directory   the directory's answers, and what it is told
//! cache       what is there             apply       what differs is written
//! conditions  what is told of objects   status      written when it is news
//! names       every name, label, port and owner of what is made
//! pod         what all pods have in common
//! ```

pub mod apply;
pub mod cache;
pub mod cluster;
pub mod conditions;
mod config;
mod context;
pub mod directory;
pub mod identities;
pub mod leaving;
pub mod metrics;
pub mod mx;
pub mod names;
pub mod objects;
pub mod pod;
pub mod rebalance;
pub mod rollout;
pub mod root;
mod run;
pub mod shard;
mod status;

pub use config::Config;
pub use run::{Error, run, run_with};
