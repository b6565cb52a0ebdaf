//! ERROR lines in logs: each asks a person to look, so a test announces those that it provokes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What a test says beforehand of the errors that it provokes.
#[derive(Debug, Default)]
pub struct Announced(Vec<String>);

impl Announced {
    /// ERROR lines that contain `part` are no surprise.
    pub fn announce(&mut self, part: &str) {
        self.0.push(part.to_owned());
    }

    /// The ERROR lines and panics in a log that nobody announced.
    pub fn surprises(&self, log: &Path) -> Result<Vec<String>> {
        let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        let surprising = |line: &&str| is_error(line) && !self.is_announced(line);
        Ok(text.lines().filter(surprising).map(str::to_owned).collect())
    }

    fn is_announced(&self, line: &str) -> bool {
        self.0.iter().any(|part| line.contains(part))
    }
}

/// The level stands behind the time; a panic comes from the runtime and has neither.
fn is_error(line: &str) -> bool {
    let level = line.split_whitespace().nth(1);
    level == Some("ERROR") || (line.starts_with("thread '") && line.contains("panicked at"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_nobody_announced_are_surprises() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mx-1.log");
        let lines = "2026-11-26T10:00:00.000Z  INFO mx: an ERROR in words\n\
                     2026-11-26T10:00:00.001Z ERROR mx: the log stopped\n\
                     2026-11-26T10:00:00.002Z ERROR mx: a delivery broke\n\
                     thread 'main' (7) panicked at mx.rs:1:1:\n";
        fs::write(&log, lines).unwrap();
        let mut announced = Announced::default();
        assert_eq!(announced.surprises(&log).unwrap().len(), 3);
        announced.announce("the log stopped");
        let left = announced.surprises(&log).unwrap();
        assert!(left[0].ends_with("a delivery broke"), "{left:?}");
        assert!(left[1].contains("panicked"), "{left:?}");
    }
}
