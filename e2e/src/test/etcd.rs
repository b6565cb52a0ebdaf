//! The etcd that tests run against: 3.6, from PATH or built once from its Go module.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::go::{Module, Program};
use crate::places;

/// The versions that tests are written for; Debian's 3.4 is too old.
const WANTED: &str = "etcd Version: 3.6.";

const MODULE: Module = Module {
    name: "etcd",
    title: "etcd 3.6",
    cost: "about a minute",
    linker_flags: "-s -w",
    programs: &[Program {
        name: "etcd",
        package: "go.etcd.io/etcd/server/v3",
    }],
};

/// The first of: the one built before, the one on PATH, one built now.
pub(super) fn provide(yes: bool) -> Result<PathBuf> {
    if !MODULE.is_built()
        && let Some(etcd) = places::on_path("etcd").filter(|path| is_wanted(path))
    {
        return Ok(etcd);
    }
    let built = MODULE.provide(yes)?.join("etcd");
    match is_wanted(&built) {
        true => Ok(built),
        false => bail!("{} is no etcd 3.6", built.display()),
    }
}

fn is_wanted(etcd: &Path) -> bool {
    let output = Command::new(etcd).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(WANTED))
}
