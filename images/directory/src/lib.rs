//! Palomar's directory: addresses, accounts, credentials, epochs, leases, moves.

pub mod store;
