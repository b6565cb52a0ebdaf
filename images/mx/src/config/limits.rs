//! Bounds of sessions and messages.

use super::Check;

kit::settings! {
    /// Bounds; the constants below say why.
    pub struct Limits {
        /// Octets of a message.
        pub max_message_size: u64 as SIZE = MAX_MESSAGE_SIZE,
        /// Recipients of a transaction.
        pub max_recipients: usize as "N" = MAX_RECIPIENTS,
        /// Unknown recipients of a session until it is closed.
        pub max_unknown: u32 as "N" = MAX_UNKNOWN,
        /// Refused commands of a session until it is closed.
        pub max_errors: u32 as "N" = MAX_ERRORS,
        /// Received fields that are taken for a loop.
        pub max_received: u32 as "N" = MAX_RECEIVED,
        /// Connections of each port.
        pub max_connections: usize as "N" = MAX_CONNECTIONS,
        /// Of these from one client address (IPv6: one /64).
        pub max_per_address: usize as "N" = kit::listener::MAX_PER_ADDRESS,
        /// Deliveries to shards at once.
        pub max_deliveries: usize as "N" = MAX_DELIVERIES,
        /// How often a copy follows an account that moved.
        pub max_follows: usize as "N" = MAX_FOLLOWS,
        /// Memory for the bodies of all messages that come in.
        pub body_memory: u64 as SIZE = BODY_MEMORY,
        /// Of this for one message; the rest of it goes to the volume.
        pub body_memory_each: u64 as SIZE = BODY_MEMORY_EACH,
        /// What all bodies may take of the volume, the spool's not counted.
        pub body_disk: u64 as SIZE = BODY_DISK,
        /// Recipients remembered for when no directory replica answers.
        pub remembered: usize as "N" = REMEMBERED,
    }
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
