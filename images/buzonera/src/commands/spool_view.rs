//! A spool entry as it is printed.

use serde::Serialize;
use wire::ids::{AccountId, DeliveryId};
use wire::rpc;

use crate::output::Show;
use crate::output::table::{Align, Table, facts, printable};
use crate::output::text::{bytes, count, moment, rfc3339};

/// A spool entry as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct EntryView {
    entry: u64,
    transaction_id: String,
    delivery_id: Option<String>,
    from: String,
    received_at: Option<String>,
    size: u64,
    targets: Vec<TargetView>,
    head: Option<String>,
    #[serde(skip)]
    received: String,
}

/// One recipient of it.
#[derive(Debug, Serialize)]
struct TargetView {
    account: Option<String>,
    recipient: String,
    shard: String,
    epoch: u64,
    attempts: u32,
    last_error: Option<String>,
    next_attempt_at: Option<String>,
    in_flight: bool,
    dead: Option<String>,
    #[serde(skip)]
    next: String,
}

impl From<rpc::SpoolEntry> for EntryView {
    fn from(entry: rpc::SpoolEntry) -> Self {
        let delivery_id = DeliveryId::from_slice(&entry.delivery_id).ok();
        let head = String::from_utf8_lossy(&entry.head).into_owned();
        Self {
            entry: entry.entry,
            transaction_id: entry.transaction_id,
            delivery_id: delivery_id.map(|id| id.to_string()),
            from: entry.reverse_path,
            received_at: rfc3339(entry.received_at_ms),
            size: entry.size,
            targets: entry.targets.into_iter().map(TargetView::from).collect(),
            head: some(head),
            received: moment(entry.received_at_ms),
        }
    }
}

impl From<rpc::SpoolTarget> for TargetView {
    fn from(target: rpc::SpoolTarget) -> Self {
        let account = AccountId::from_slice(&target.account).ok();
        Self {
            account: account.map(|id| id.to_string()),
            recipient: target.recipient,
            shard: target.shard,
            epoch: target.epoch,
            attempts: target.attempts,
            last_error: some(target.last_error),
            next_attempt_at: rfc3339(target.next_attempt_ms),
            in_flight: target.in_flight,
            dead: some(target.dead),
            next: moment(target.next_attempt_ms),
        }
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl TargetView {
    /// When it is tried again, or why not.
    fn when(&self) -> String {
        match (&self.dead, self.in_flight) {
            (Some(_), _) => "given up".to_owned(),
            (None, true) => "now".to_owned(),
            (None, false) => self.next.clone(),
        }
    }

    fn why(&self) -> String {
        let why = self.dead.as_ref().or(self.last_error.as_ref());
        why.cloned().unwrap_or_default()
    }
}

impl Show for EntryView {
    fn text(&self) -> String {
        let mut text = facts(&[
            ("entry", self.entry.to_string()),
            ("transaction", self.transaction_id.clone()),
            ("delivery", self.delivery_id.clone().unwrap_or_default()),
            ("from", format!("<{}>", self.from)),
            ("received", self.received.clone()),
            ("size", bytes(self.size)),
        ]);
        for target in &self.targets {
            text.push('\n');
            text.push_str(&facts(&[
                ("to", target.recipient.clone()),
                ("shard", target.shard.clone()),
                ("attempts", target.attempts.to_string()),
                ("next", target.when()),
                ("because", target.why()),
            ]));
        }
        let head = self.head.as_deref().unwrap_or_default();
        if !head.is_empty() {
            text.push_str("\nits beginning\n");
        }
        for line in head.lines() {
            text.push_str(&format!("  {}\n", printable(line)));
        }
        text
    }
}

/// Several entries: a line for each recipient.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Entries(pub Vec<EntryView>);

impl Show for Entries {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("ENTRY", Align::Right),
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("SIZE", Align::Right),
            ("SHARD", Align::Left),
            ("ATTEMPTS", Align::Right),
            ("NEXT", Align::Left),
            ("BECAUSE", Align::Left),
        ]);
        for entry in &self.0 {
            for target in &entry.targets {
                table.row([
                    entry.entry.to_string(),
                    entry.from.clone(),
                    target.recipient.clone(),
                    bytes(entry.size),
                    target.shard.clone(),
                    target.attempts.to_string(),
                    target.when(),
                    target.why(),
                ]);
            }
        }
        table.render("The spool is empty.")
    }
}

/// An entry as it was.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Removed(pub EntryView);

impl Show for Removed {
    fn text(&self) -> String {
        let EntryView { entry, from, .. } = &self.0;
        format!("Entry {entry}, from <{}>, is removed.\n", printable(from))
    }
}

/// How many recipients are due now.
#[derive(Serialize)]
pub struct Retried {
    /// Recipients, not entries.
    pub retried: u64,
}

impl Show for Retried {
    fn text(&self) -> String {
        format!("{} due now.\n", count(self.retried, "recipient"))
    }
}
