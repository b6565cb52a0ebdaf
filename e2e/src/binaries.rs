//! Buzonera's own programs, built before they are run.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::places;

/// Set by `cargo e2e`, which has built everything already: the folder with the programs.
pub const FOLDER: &str = "BUZONERA_E2E_BIN";

/// One of Buzonera's programs, built if need be: "buzonera", "buzonera-mx", …
pub fn path(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| folder(|_| {}).map_err(|error| format!("{error:#}")));
    let folder = folder
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is missing", path.display());
    }
    Ok(path)
}

/// The folder with the programs, which are built unless the caller has done it; `show` gets what is
/// being compiled.
pub fn folder(show: impl FnMut(&str)) -> Result<PathBuf> {
    match std::env::var_os(FOLDER) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => build(show),
    }
}

/// Builds every program in the profile that this one was built in.
pub fn build(show: impl FnMut(&str)) -> Result<PathBuf> {
    let profile: &[&str] = match cfg!(debug_assertions) {
        true => &[],
        false => RELEASE,
    };
    build_with(profile, show)?;
    beside_us()
}

/// Builds every program in release mode.
pub fn build_release(show: impl FnMut(&str)) -> Result<()> {
    build_with(RELEASE, show)
}

const RELEASE: &[&str] = &["--release"];

/// What cargo says beside its progress is in the error, should it fail.
fn build_with(profile: &[&str], mut show: impl FnMut(&str)) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--locked", "--workspace", "--bins"]);
    cargo.args(profile).stderr(Stdio::piped());
    let mut child = cargo.spawn().context("cargo does not start")?;
    let said = child.stderr.take().context("cargo's words are piped")?;
    let mut rest = Vec::new();
    for line in BufReader::new(said).lines() {
        let line = line?;
        match compiled(&line) {
            Some(what) => show(what),
            None => rest.push(line),
        }
    }
    if !child.wait()?.success() {
        bail!("the programs do not build:\n{}", rest.join("\n"));
    }
    Ok(())
}

/// "Compiling buzonera-mx v0.1.0", if that is what this line of cargo's says.
fn compiled(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (what, _folder) = line.split_once(" (").unwrap_or((line, ""));
    what.starts_with("Compiling ").then_some(what)
}

/// Cargo, as it was called to run us, without what it told us of our own package: build scripts
/// that look at that (ring's) would take it for a change, and all that stands on them be rebuilt.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(places::workspace());
    let ours = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "OUT_DIR",
    ];
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| ours.iter().any(|prefix| name.starts_with(prefix)))
        {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// `target/debug` or `target/release`: a test runs in its `deps` folder.
fn beside_us() -> Result<PathBuf> {
    let us = std::env::current_exe().context("this program's path is unknown")?;
    let folder = us.ancestors().skip(1).find(|dir| !dir.ends_with("deps"));
    Ok(folder.context("this program has no folder")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_is_told_from_what_else_cargo_says() {
        assert_eq!(
            compiled("   Compiling buzonera-mx v0.1.0 (/home/ana/buzonera/images/mx)"),
            Some("Compiling buzonera-mx v0.1.0")
        );
        assert_eq!(
            compiled("   Compiling ring v0.17.14"),
            Some("Compiling ring v0.17.14")
        );
        assert_eq!(compiled("error: could not compile `ring` (lib)"), None);
        assert_eq!(compiled("    Finished `dev` profile"), None);
    }
}
