//! What the end-to-end tests, the demo and the benchmarks are made of.

pub mod bench;
pub mod binaries;
pub mod cluster;
pub mod demo;
pub mod disk;
pub mod errors;
pub mod ledger;
pub mod maildrop;
pub mod message;
pub mod metrics;
pub mod network;
pub mod paced;
pub mod places;
pub mod pop3;
pub mod ports;
pub mod process;
pub mod reader;
pub mod real;
pub mod say;
pub mod site;
pub mod smtp;
pub mod soak;
pub mod terminal;
pub mod test;
pub mod wait;
