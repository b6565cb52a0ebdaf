//! Palomar's own programs, built before they are run.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::places;

/// Set by `cargo e2e`, which has built everything already: the folder with the programs.
pub const FOLDER: &str = "PALOMAR_E2E_BIN";

/// One of Palomar's programs, built if need be: "palomar", "palomar-mx", …
pub fn path(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| folder().map_err(|error| format!("{error:#}")));
    let folder = folder
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is missing", path.display());
    }
    Ok(path)
}

/// The folder with the programs, which are built unless the caller has done it.
pub fn folder() -> Result<PathBuf> {
    match std::env::var_os(FOLDER) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => build(),
    }
}

/// Builds every program in the profile that this one was built in.
pub fn build() -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--bins"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().context("cargo does not start")?;
    if !status.success() {
        bail!("the programs do not build");
    }
    beside_us()
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
