//! The IO every Palomar process shares, once.

pub mod services;
