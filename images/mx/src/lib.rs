//! SMTP and LMTP in: recipients by the directory, delivery to the owning shards, spool.
//!
//! ```text
//! tier: ports ──► connection ──► session: what a client's lines mean ──► recipients: the directory
//!                    │ body: kept while it comes
//!                    └─► accept: one answer a message ──► deliver: the owning shards
//!                                  └─► spool: what waits ─────┘
//! ```

mod accept;
pub mod body;
pub mod config;
mod connection;
pub mod deliver;
pub mod door;
mod metrics;
pub mod received;
pub mod recipients;
mod report;
pub mod session;
mod shared;
pub mod spool;
mod tier;

pub use config::Config;
pub use tier::{Error, Mx};

/// Feeds any octets to the parsers and the machine of this crate.
pub fn fuzz(data: &[u8]) {
    session::fuzz(data);
    spool::fuzz(data);
}
