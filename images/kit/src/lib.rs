//! The IO every Buzonera process shares, once.

// What `settings` writes names this crate as its users do.
extern crate self as kit;

pub mod admin;
pub mod authority;
pub mod clock;
pub mod config;
pub mod frame;
pub mod lifecycle;
pub mod listener;
pub mod metrics;
pub mod net;
pub mod pause;
pub mod process;
mod reload;
pub mod rpc;
pub mod services;
pub mod task;
pub mod telemetry;
pub mod tls;
