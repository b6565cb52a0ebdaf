//! Ports for servers under test.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};

/// Below Linux's range for outgoing connections (32768 and up), so that a port stays free while the
/// server that owns it is down.
const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;

/// A port of 127.0.0.1 that nobody listens on, given once in this process.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = LAST - FIRST;
    let own = u16::try_from(std::process::id() % u32::from(span)).unwrap_or(0);
    (0..span)
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            FIRST + own.wrapping_mul(16).wrapping_add(step) % span
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| format!("no port from {FIRST} to {LAST} is free on 127.0.0.1"))
}
