//! The directory: which addresses exist, which account they lead to, and which shard owns it.
//!
//! The whole map is in memory ([`model`] says what is in it); durable state is in a [`store`]
//! behind a small trait. Any replica answers *yes* from memory; a *no* waits for a proof that the
//! replica is not behind.
//!
//! ```text
//! mx, proxy ───► lookups: resolve, authenticate ──┐              ┌── map::follow
//! storage ─────► registry: leases, who is where ──┼─► map: model ◄┘       ▲ watches
//! people ──────► admin: one verb a file ──────────┘                       │
//!                  └──────────► moves, sweep (the elected replica) ──► store: embedded, etcd
//! ```

mod admin;
mod authenticate;
mod claim;
mod cluster;
pub mod config;
pub mod contact;
pub mod credential;
pub mod election;
pub mod lease;
mod lookups;
pub mod map;
mod metrics;
pub mod model;
pub mod moves;
mod operator;
pub mod placement;
pub mod registry;
pub mod resolve;
mod serving;
pub mod store;
mod tier;

pub use admin::AdminConfig;
pub use authenticate::{AuthenticateConfig, NoRandom, SetupError};
pub use claim::WhenEmpty;
pub use cluster::ClusterError;
pub use config::{Config, StoreAt};
pub use credential::Cost;
pub use moves::MovesConfig;
pub use tier::{Directory, Error};
