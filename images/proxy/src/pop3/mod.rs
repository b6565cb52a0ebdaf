//! POP3 in front.

mod client;
mod machine;
mod record;

pub(crate) use client::{Entry, Front, Limits, serve};
pub(crate) use machine::{Refusal, fuzz};
