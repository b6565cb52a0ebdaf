//! The command line, and the all-in-one that runs every tier in one process.

pub mod cli;
pub mod client;
pub mod commands;
pub mod failure;
pub mod local;
pub mod output;
pub mod quantity;
pub mod reach;
pub mod secret;
pub mod terminal;
pub mod users;
