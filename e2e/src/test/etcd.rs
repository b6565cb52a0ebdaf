//! The etcd that tests run against: 3.6, from PATH or built once from its Go module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{places, say};

/// The versions that tests are written for; Debian's 3.4 is too old.
const WANTED: &str = "etcd Version: 3.6.";

/// The first of: the one built before, the one on PATH, one built now.
pub(super) fn provide() -> Result<PathBuf> {
    let built = places::tools().join("etcd");
    let found = [Some(built.clone()), places::on_path("etcd")];
    if let Some(etcd) = found.into_iter().flatten().find(|path| is_wanted(path)) {
        return Ok(etcd);
    }
    build(&built)?;
    match is_wanted(&built) {
        true => Ok(built),
        false => bail!("{} is no etcd 3.6", built.display()),
    }
}

fn is_wanted(etcd: &Path) -> bool {
    let output = Command::new(etcd).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(WANTED))
}

/// `go build tool` names the program after its module's folder, "server".
fn build(built: &Path) -> Result<()> {
    say::line("building etcd 3.6 once, about a minute…");
    let tools = places::tools();
    fs::create_dir_all(&tools)?;
    let status = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(tools.join(""))
        .arg("tool")
        .current_dir(places::workspace().join("e2e/etcd"))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .status()
        .context("etcd 3.6 is not on PATH and Go is not there to build it: install one of them")?;
    if !status.success() {
        bail!("etcd does not build: see above");
    }
    fs::rename(tools.join("server"), built).context("etcd was built under another name")?;
    Ok(())
}
