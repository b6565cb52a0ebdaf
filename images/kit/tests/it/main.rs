//! kit over real sockets: one promise a file.

mod access;
mod admin;
mod client_ca;
mod directory;
mod identity;
mod listener;
mod process;
mod public_tls;
mod reload;
mod rpc_drain;
mod rpc_reconnect;
mod support;
