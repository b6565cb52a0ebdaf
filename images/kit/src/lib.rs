//! The IO every Palomar process shares, once.

pub mod authority;
pub mod clock;
pub mod lifecycle;
pub mod services;
pub mod tls;
