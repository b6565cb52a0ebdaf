//! The log lines of messages that nobody will get.

use std::net::SocketAddr;
use std::time::Duration;

use kit::telemetry::Outcome;

use crate::spool::queue::{Entry, State, Target};

/// One recipient will not get the message unless an administrator sees to it.
pub(super) fn dead_letter(entry: &Entry, target: &Target, reason: &str, now_ms: i64) {
    line(
        entry,
        target,
        None,
        &format!("dead letter: {reason}"),
        now_ms,
    );
}

/// An administrator has dropped a dead letter: a line for each recipient.
pub(super) fn removed(entry: &Entry, client: SocketAddr, now_ms: i64) {
    for target in &entry.targets {
        let why = match &target.state {
            State::Dead(reason) => reason.as_str(),
            State::Due(_) | State::InFlight => "not given up",
        };
        let reply = format!("dead letter removed by an administrator: {why}");
        line(entry, target, Some(client), &reply, now_ms);
    }
}

fn line(entry: &Entry, target: &Target, client: Option<SocketAddr>, reply: &str, now_ms: i64) {
    let age_ms = now_ms.saturating_sub(entry.received_at_ms);
    Outcome {
        transaction: &entry.transaction_id,
        delivery: Some(entry.delivery_id),
        client,
        from: &entry.reverse_path,
        recipient: &target.recipient,
        size: Some(entry.body.length),
        message_id: None,
        account: Some(target.account),
        shard: Some(&target.shard),
        uid: None,
        reply,
        took: Duration::from_millis(age_ms.max(0).unsigned_abs()),
    }
    .log();
}
