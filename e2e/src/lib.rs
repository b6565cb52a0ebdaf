//! What the end-to-end tests, the demo and the benchmarks are made of.

pub mod ledger;
pub mod message;
pub mod pop3;
pub mod ports;
pub mod process;
pub mod smtp;
pub mod wait;
