//! SMTP and LMTP in: recipients by the directory, delivery to the owning shards, spool.

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
mod server;
pub mod session;
pub mod spool;

pub use config::Config;
pub use server::{Error, Mx, run};

/// Feeds any octets to the parsers and the machine of this crate.
pub fn fuzz(data: &[u8]) {
    session::fuzz(data);
    spool::fuzz(data);
}
