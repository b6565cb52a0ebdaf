//! A process that is surely the one that was meant: an id alone may be another's by now.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its id.
    pub(super) pid: u32,
    /// When it began, in ticks since this machine's start.
    began: u64,
    /// Which start that was.
    boot: String,
}

impl Identity {
    /// The process that has this id now.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let began = began(&stat).with_context(|| format!("/proc/{pid}/stat is unknown: {stat}"))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let boot = boot.trim().to_owned();
        Ok(Self { pid, began, boot })
    }

    /// Whether it has not ended. One that nobody has collected yet has.
    pub(super) fn is_alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let is_zombie = after_name(&stat).is_some_and(|fields| fields.starts_with('Z'));
        !is_zombie && Self::of(self.pid).is_ok_and(|found| found == *self)
    }

    /// Signals it, and no other process that has its id meanwhile; one that has ended is fine.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let id = id.with_context(|| format!("{} is no process id", self.pid))?;
        let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
            return Ok(());
        };
        // What we hold is what has the id now: so this look is not too early.
        if self.is_alive() {
            pidfd_send_signal(&process, signal)
                .with_context(|| format!("cannot signal process {}", self.pid))?;
        }
        Ok(())
    }
}

/// The 22nd field. The second, a name in brackets, may contain anything.
fn began(stat: &str) -> Option<u64> {
    after_name(stat)?.split(' ').nth(19)?.parse().ok()
}

/// From the third field on.
fn after_name(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ").map(|(_, fields)| fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_confuse() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) {}\n", fields.join(" "));
        assert_eq!(began(&stat), Some(22));
        assert_eq!(began("7 (a"), None);
    }

    #[test]
    fn another_process_of_the_same_id_is_left_alone() {
        let mut us = Identity::of(std::process::id()).unwrap();
        assert!(us.is_alive());
        us.began -= 1;
        assert!(!us.is_alive());
        us.signal(Signal::KILL).unwrap();
    }
}
