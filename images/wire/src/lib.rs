//! Buzonera's pure words: ids, addresses, protocol framing and RPC messages.
//!
//! Nothing here opens a socket, reads a clock or needs an async runtime. Every parser has a size
//! cap, and a `fuzz(&[u8])` entry that property tests drive.

pub mod address;
pub mod answer;
pub mod delivery_id;
pub mod handoff;
pub mod identity;
pub mod ids;
pub mod pop3;
pub mod proxy_header;
pub mod rpc;
pub mod sasl;
pub mod secret;
pub mod smtp;
