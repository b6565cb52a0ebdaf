//! POP3 in front: authenticate, route, then pump bytes and parse nothing more.
//!
//! ```text
//! tier: ports ──► pop3: what a client's lines mean ──► login ──► throttle, users: may it now?
//!                                                        │
//!                   pump ◄── shard: hands over ◄─────────┘ the directory: who and where
//! ```

mod config;
mod login;
mod metrics;
mod pop3;
mod pump;
mod shard;
pub mod throttle;
mod tier;
mod users;

pub use config::{Config, Limits};
pub use tier::Proxy;

/// Feeds any octets to the parsers and the machine of this crate.
pub fn fuzz(data: &[u8]) {
    pop3::fuzz(data);
}
