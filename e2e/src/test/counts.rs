//! How many tests passed and failed, read from what cargo's test programs print.

use std::ops::AddAssign;

/// Tests by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed, and programs that died or did not build.
    pub failed: u64,
    /// Left out by `#[ignore]`.
    pub ignored: u64,
}

impl Counts {
    /// Whether none failed and at least one ran: an empty run proves nothing.
    pub(crate) fn is_good(self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// One program's last line: "test result: ok. 3 passed; 0 failed; 1 ignored; …".
pub(super) fn result_line(line: &str) -> Option<Counts> {
    let (_verdict, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split("; ") {
        match part.split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_read() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; \
                    0 filtered out; finished in 0.34s";
        let expected = Counts {
            passed: 12,
            failed: 2,
            ignored: 1,
        };
        assert_eq!(result_line(line), Some(expected));
        assert_eq!(result_line("test a::b ... ok"), None);
        assert_eq!(result_line("running 3 tests"), None);
    }

    #[test]
    fn nothing_is_not_good() {
        assert!(!Counts::default().is_good());
    }
}
