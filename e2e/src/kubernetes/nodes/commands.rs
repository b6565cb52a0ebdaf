//! Programs of the system that do one thing and end.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs it; what it prints. Its complaints are the error.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).output();
    let output = output.with_context(|| format!("{program} does not start"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let line = arguments.join(" ");
    ensure!(output.status.success(), "{program} {line}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
