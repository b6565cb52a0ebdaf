//! Bounds of sessions, messages and the spool.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Check;
use crate::spool;

/// Bounds; the constants below say why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Octets of a message.
    #[serde(with = "kit::config::size")]
    pub max_message_size: u64,
    /// Recipients of a transaction.
    pub max_recipients: usize,
    /// Unknown recipients of a session.
    pub max_unknown: u32,
    /// Refused commands of a session.
    pub max_errors: u32,
    /// Received fields that are taken for a loop.
    pub max_received: u32,
    /// Connections of a listener.
    pub max_connections: usize,
    /// Of these from one client address (IPv6: one /64).
    pub max_per_address: usize,
    /// Deliver calls at once.
    pub max_deliveries: usize,
    /// How often a copy follows an account that moved.
    pub max_follows: usize,
    /// Octets of all bodies in memory.
    #[serde(with = "kit::config::size")]
    pub body_memory: u64,
    /// Octets of one body in memory; the rest goes to the volume.
    #[serde(with = "kit::config::size")]
    pub body_memory_each: u64,
    /// Octets of all bodies on the volume, the spool's not counted.
    #[serde(with = "kit::config::size")]
    pub body_disk: u64,
    /// Recipients remembered for when no directory replica answers.
    pub remembered: usize,
}

/// RFC 5321 section 4.5.3.1.7.
const LEAST_MESSAGE: u64 = 64 << 10;
/// What one record of a heap or of the spool takes, with its headers.
const LARGEST_MESSAGE: u64 = (segments::MAX_PAYLOAD - (1 << 20)) as u64;
/// More than the large providers take.
const MAX_MESSAGE_SIZE: u64 = 50 << 20;
/// What RFC 5321 section 4.5.3.1.8 asks for.
const MAX_RECIPIENTS: usize = 100;
/// A dictionary attack, not a typing error.
const MAX_UNKNOWN: u32 = 20;
/// A confused client stops long before.
const MAX_ERRORS: u32 = 20;
/// What RFC 5321 section 6.3 asks for at least.
const MAX_RECEIVED: u32 = 100;
/// Some 50 KB each in a transaction: 100 MB for a full house.
const MAX_CONNECTIONS: usize = 2000;
/// More only queue up at the shards.
const MAX_DELIVERIES: usize = 256;
/// A move in between is one, a race with the next is two.
const MAX_FOLLOWS: usize = 3;
/// A quarter of what a small pod has.
const BODY_MEMORY: u64 = 256 << 20;
/// 99 of 100 messages fit (WORKLOAD: P99 is 841 KB).
const BODY_MEMORY_EACH: u64 = 1 << 20;
/// A fifth of the volume that the chart asks for.
const BODY_DISK: u64 = 4 << 30;
/// Some 300 octets each: 30 MB.
const REMEMBERED: usize = 100_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: MAX_MESSAGE_SIZE,
            max_recipients: MAX_RECIPIENTS,
            max_unknown: MAX_UNKNOWN,
            max_errors: MAX_ERRORS,
            max_received: MAX_RECEIVED,
            max_connections: MAX_CONNECTIONS,
            max_per_address: kit::listener::MAX_PER_ADDRESS,
            max_deliveries: MAX_DELIVERIES,
            max_follows: MAX_FOLLOWS,
            body_memory: BODY_MEMORY,
            body_memory_each: BODY_MEMORY_EACH,
            body_disk: BODY_DISK,
            remembered: REMEMBERED,
        }
    }
}

impl Limits {
    pub(super) fn checks(&self) -> Vec<Check> {
        let size = LEAST_MESSAGE..=LARGEST_MESSAGE;
        vec![
            (
                "limits.max-message-size",
                !size.contains(&self.max_message_size),
                "64KiB to 79MiB",
            ),
            (
                "limits.max-recipients",
                self.max_recipients < MAX_RECIPIENTS,
                "100 at least",
            ),
            (
                "limits.max-received",
                self.max_received < MAX_RECEIVED,
                "100 at least",
            ),
            (
                "limits.max-connections",
                self.max_connections == 0,
                "must be above 0",
            ),
            (
                "limits.max-per-address",
                self.max_per_address == 0,
                "must be above 0",
            ),
            (
                "limits.max-deliveries",
                self.max_deliveries == 0,
                "must be above 0",
            ),
        ]
    }
}

/// What the spool may hold, and when it tries again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SpoolLimits {
    /// Octets on the volume.
    #[serde(with = "kit::config::size")]
    pub max_bytes: u64,
    /// Least of the volume, in hundredths, that stays free.
    pub min_free_percent: u64,
    /// Messages.
    pub max_entries: usize,
    /// Wait before the second attempt; it doubles.
    #[serde(with = "kit::config::duration")]
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    #[serde(with = "kit::config::duration")]
    pub longest_wait: Duration,
    /// After so long a message becomes a dead letter.
    #[serde(with = "kit::config::duration")]
    pub lifetime: Duration,
}

/// With more kept free, a volume that serves others too never takes mail.
const MOST_FREE: u64 = 50;

impl Default for SpoolLimits {
    /// The spool's own; it says why.
    fn default() -> Self {
        let config = spool::Config::default();
        let duration = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        Self {
            max_bytes: config.max_bytes,
            min_free_percent: config.min_free_percent,
            max_entries: config.max_entries,
            first_wait: duration(config.schedule.first_ms),
            longest_wait: duration(config.schedule.longest_ms),
            lifetime: duration(config.schedule.lifetime_ms),
        }
    }
}

impl SpoolLimits {
    pub(super) fn checks(&self) -> Vec<Check> {
        vec![
            (
                "spool.max-entries",
                self.max_entries == 0,
                "must be above 0",
            ),
            (
                "spool.min-free-percent",
                self.min_free_percent > MOST_FREE,
                "50 at most",
            ),
        ]
    }

    /// As the spool takes it.
    pub(crate) fn to_spool(&self) -> spool::Config {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let config = spool::Config::default();
        spool::Config {
            max_bytes: self.max_bytes,
            min_free_percent: self.min_free_percent,
            max_entries: self.max_entries,
            schedule: spool::Schedule {
                first_ms: ms(self.first_wait),
                longest_ms: ms(self.longest_wait),
                lifetime_ms: ms(self.lifetime),
                ..config.schedule
            },
            ..config
        }
    }
}
