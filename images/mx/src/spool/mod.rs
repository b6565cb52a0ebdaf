//! The spool: what MX answered 250 for and a shard does not have yet.
//!
//! A durable queue over [`segments`], one queue per shard. What it takes is on stable storage before
//! [`Spool::accept`] returns, and is there once after any crash until every target is delivered
//! or a dead letter. Delivering twice is harmless: the shard knows the delivery id.
//!
//! - [`Spool::open`] recovers the queue from a snapshot and what its log says after it (blocking:
//!   call it on a blocking thread).
//! - [`Spool::accept`] takes a message with its pending targets; every error means 451.
//! - [`runner::run`] hands what is due to a [`Deliverer`], which MX implements: it asks the
//!   directory where the account is now, delivers, and says how that went for each target.
//! - [`Spool::list`], [`Spool::show`], [`Spool::retry_now`], [`Spool::remove`] and
//!   [`admin::Service`] are for `buzonera spool`; [`Spool::counts`] for metrics.
//!
//! Should a write or sync of its log fail, what is there is still delivered, and nothing is taken
//! until the log was recovered from the disk; the runner sees to that.
//!
//! The queue ([`queue`]) and its timetable ([`schedule`]) are pure; time comes in as milliseconds
//! since 1970.

pub mod admin;
mod body;
mod config;
mod house;
mod outcome;
pub mod queue;
mod reclaim;
mod record;
mod report;
pub mod runner;
pub mod schedule;
mod snapshot;
mod store;

pub use self::body::{Body, BodyError, CHUNK};
pub use self::config::{Clock, Config, Sleep};
pub use self::outcome::Outcome;
pub use self::queue::{BodyAt, Counts, Entry, EntryId, Gate, NoAnswer, Round, State, Target, Word};
pub use self::runner::{Deliverer, Job};
pub use self::schedule::Schedule;
pub use self::store::{AcceptError, NewEntry, NewTarget, NotRemoved, OpenError, Spool, Trouble};

/// Feeds any octets to the parsers of what the spool keeps on disk.
pub fn fuzz(data: &[u8]) {
    record::fuzz(data);
    snapshot::fuzz(data);
}

#[cfg(test)]
mod tests;
