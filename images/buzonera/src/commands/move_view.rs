//! A move as it is printed.

use serde::Serialize;
use wire::ids::MoveId;
use wire::rpc::{self, MovePhase};

use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::{Align, Table};
use crate::output::text::{bytes, count, moment, rfc3339};

/// A move as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct MoveView {
    id: Option<String>,
    address: String,
    source: String,
    target: String,
    epoch: u64,
    phase: &'static str,
    reason: Option<String>,
    plan: Option<String>,
    messages: u64,
    bytes: u64,
    total_messages: u64,
    total_bytes: u64,
    started_at: Option<String>,
    changed_at: Option<String>,
    #[serde(skip)]
    at: MovePhase,
    #[serde(skip)]
    changed: String,
}

impl From<rpc::Move> for MoveView {
    fn from(shown: rpc::Move) -> Self {
        let at = shown.phase();
        Self {
            id: MoveId::from_slice(&shown.move_id)
                .ok()
                .map(|id| id.to_string()),
            address: shown.address,
            source: shown.source,
            target: shown.target,
            epoch: shown.epoch,
            phase: phase_name(at),
            reason: Some(shown.reason).filter(|reason| !reason.is_empty()),
            plan: Some(shown.plan).filter(|plan| !plan.is_empty()),
            messages: shown.messages,
            bytes: shown.bytes,
            total_messages: shown.total_messages,
            total_bytes: shown.total_bytes,
            started_at: rfc3339(shown.started_at_ms),
            changed_at: rfc3339(shown.changed_at_ms),
            at,
            changed: moment(shown.changed_at_ms),
        }
    }
}

fn phase_name(phase: MovePhase) -> &'static str {
    match phase {
        MovePhase::Unspecified => "unknown",
        MovePhase::Planned => "planned",
        MovePhase::Copying => "copying",
        MovePhase::Fencing => "fencing",
        MovePhase::Verified => "verified",
        MovePhase::Done => "done",
        MovePhase::Aborted => "aborted",
    }
}

impl MoveView {
    /// One line: the phase, what is copied, and what it waits for.
    pub fn progress(&self) -> String {
        let copied = match self.total_messages {
            0 => String::new(),
            total => format!(
                "  {} of {}, {} of {}",
                self.messages,
                count(total, "message"),
                bytes(self.bytes),
                bytes(self.total_bytes)
            ),
        };
        let reason = self.reason.as_ref().map(|reason| format!("  ({reason})"));
        let line = format!("{:<8}{copied}{}", self.phase, reason.unwrap_or_default());
        line.trim_end().to_owned()
    }

    /// Whether the command did what was asked.
    pub fn verdict(&self, wanted: MovePhase, no_wait: bool) -> Result<(), Failure> {
        if no_wait || self.at == wanted {
            return Ok(());
        }
        let reason = self.reason.as_deref().unwrap_or("no reason was given");
        Err(Failure::Refused(format!(
            "The move of {} is {}: {reason}.",
            self.address, self.phase
        )))
    }
}

impl Show for MoveView {
    fn text(&self) -> String {
        let Self {
            address,
            source,
            target,
            ..
        } = self;
        let line = match self.at {
            MovePhase::Done => format!("{address} is on {target} now."),
            MovePhase::Aborted => format!("{address} stays on {source}."),
            _ => format!(
                "{address} is moving from {source} to {target}: {}.",
                self.phase
            ),
        };
        format!("{line}\n")
    }
}

/// Several moves.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Moves(pub Vec<MoveView>);

impl Show for Moves {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("ACCOUNT", Align::Left),
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("PHASE", Align::Left),
            ("MESSAGES", Align::Right),
            ("BYTES", Align::Right),
            ("CHANGED", Align::Left),
            ("REASON", Align::Left),
        ]);
        for shown in &self.0 {
            table.row([
                shown.address.clone(),
                shown.source.clone(),
                shown.target.clone(),
                shown.phase.to_owned(),
                shown.messages.to_string(),
                bytes(shown.bytes),
                shown.changed.clone(),
                shown.reason.clone().unwrap_or_default(),
            ]);
        }
        table.render("No moves.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(phase: MovePhase) -> MoveView {
        MoveView::from(rpc::Move {
            address: "ana@b.c".into(),
            phase: phase.into(),
            reason: "the target is full".into(),
            ..Default::default()
        })
    }

    #[test]
    fn an_aborted_move_fails_the_command_that_asked_for_it() {
        let verdict = at(MovePhase::Aborted).verdict(MovePhase::Done, false);
        let failure = verdict.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "The move of ana@b.c is aborted: the target is full."
        );
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(at(MovePhase::Done).verdict(MovePhase::Done, false), Ok(()));
        assert_eq!(
            at(MovePhase::Planned).verdict(MovePhase::Done, true),
            Ok(())
        );
    }

    #[test]
    fn progress_names_phase_and_reason() {
        let line = at(MovePhase::Copying).progress();
        assert_eq!(line, "copying   (the target is full)");
    }
}
