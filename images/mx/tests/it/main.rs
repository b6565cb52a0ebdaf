//! MX over real sockets, with a directory and shards that answer as a test tells them to.
//!
//! The real tiers meet in the end-to-end tests; here is what they cannot be made to say on demand.

mod absences;
mod access;
mod attacks;
mod bodies;
mod commands;
mod cordon;
mod delivery;
mod harness;
mod hostile;
mod limits;
mod lmtp;
mod outcomes;
mod proxied;
mod recipients;
mod shutdown;
mod spooling;
mod tls;
