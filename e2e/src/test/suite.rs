//! One run of `cargo test`, shown as it goes.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use super::counts::{self, Counts};
use crate::{binaries, say};

/// Runs the tests that `which` names to cargo and counts them. `places` become environment
/// variables.
pub(super) fn run(kind: &str, which: &[&str], places: &[(&str, PathBuf)]) -> Result<Counts> {
    say::line(&format!("== {kind} tests"));
    let started = Instant::now();
    let mut cargo = binaries::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    cargo
        .args(which)
        .envs(places.iter().map(|(name, path)| (name, path)));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let (reader, writer) = std::io::pipe()?;
    cargo.stdin(Stdio::null());
    cargo.stdout(writer.try_clone()?).stderr(writer);
    let mut child = cargo.spawn().context("cargo does not start")?;
    // Else our copies of the pipe's writing end would keep it open.
    drop(cargo);
    let counts = follow(BufReader::new(reader), say::line)?;
    let status = child.wait()?;
    let counts = judge(counts, status.success());
    let Counts {
        passed,
        failed,
        ignored,
    } = counts;
    let seconds = started.elapsed().as_secs();
    say::line(&format!(
        "== {kind}: {passed} passed, {failed} failed, {ignored} ignored, in {seconds} s"
    ));
    Ok(counts)
}

/// Shows what matters and sums the results. All but the lines of single passed tests matters.
fn follow(output: impl BufRead, show: impl Fn(&str)) -> Result<Counts> {
    let mut all = Counts::default();
    for line in output.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some(counts) = counts::result_line(&line) {
            all += counts;
        }
        let dull = line.ends_with("... ok") || line.trim().is_empty();
        if !dull {
            show(&line);
        }
    }
    Ok(all)
}

/// A program that died, or did not build, printed no result: that is a failure too.
fn judge(counts: Counts, success: bool) -> Counts {
    match success || counts.failed > 0 {
        true => counts,
        false => Counts {
            failed: 1,
            ..counts
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_a_death_counts() {
        let output = "running 1 test\ntest a ... ok\n\
                      test result: ok. 1 passed; 0 failed; 0 ignored\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored\n";
        let counts = follow(output.as_bytes(), |_| {}).unwrap();
        assert_eq!(counts.passed, 3);
        assert_eq!(judge(counts, true).failed, 0);
        assert_eq!(judge(counts, false).failed, 1);
    }
}
