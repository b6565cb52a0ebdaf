//! The log line of a message that was given up.

use std::time::Duration;

use kit::telemetry::Outcome;

use crate::spool::queue::{Entry, Target};

/// One recipient will not get the message unless an administrator sees to it.
pub(super) fn dead_letter(entry: &Entry, target: &Target, reason: &str, now_ms: i64) {
    let age_ms = now_ms.saturating_sub(entry.received_at_ms);
    Outcome {
        transaction: &entry.transaction_id,
        delivery: Some(entry.delivery_id),
        client: None,
        from: &entry.reverse_path,
        recipient: &target.recipient,
        size: Some(entry.body.length),
        message_id: None,
        account: Some(target.account),
        shard: Some(&target.shard),
        uid: None,
        reply: &format!("dead letter: {reason}"),
        took: Duration::from_millis(age_ms.max(0).unsigned_abs()),
    }
    .log();
}
