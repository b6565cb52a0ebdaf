//! Real mail programs, from Debian's archive.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{places, say};

/// A program the tests run, and the package it is in.
const WANTED: [(&str, &str); 10] = [
    ("curl", "curl"),
    ("fetchmail", "fetchmail"),
    ("getmail", "getmail6"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("postfix", "postfix"),
    ("python3", "python3"),
    ("script", "bsdutils"),
    ("strace", "strace"),
    ("swaks", "swaks"),
];

/// A Perl module, and the package it is in: swaks needs it for TLS and only recommends it.
const WANTED_OF_PERL: [(&str, &str); 1] = [("Net::SSLeay", "libnet-ssleay-perl")];

/// Installs what is missing, after asking.
pub(super) fn provide(yes: bool) -> Result<()> {
    let programs = WANTED
        .iter()
        .filter(|(program, _)| places::on_path(program).is_none());
    let modules = WANTED_OF_PERL
        .iter()
        .filter(|(module, _)| !perl_has(module));
    let missing: Vec<&str> = programs
        .chain(modules)
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !yes && !say::ask(&format!("The tests need {list}. Install with apt-get?")) {
        bail!("missing: {list}; install them, or run with --yes");
    }
    say::line(&format!("installing {list}"));
    apt_get(&["update", "-q"])?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt_get(&[install.as_slice(), &missing].concat())
}

fn perl_has(module: &str) -> bool {
    let mut perl = Command::new("perl");
    perl.args(["-M".to_owned() + module, "-e1".to_owned()]);
    perl.stderr(Stdio::null());
    perl.status().is_ok_and(|status| status.success())
}

/// As root, or through sudo. Postfix would ask how it is to be configured; the tests bring their
/// own configuration.
fn apt_get(args: &[&str]) -> Result<()> {
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("env"),
        false => {
            let mut sudo = Command::new("sudo");
            sudo.arg("env");
            sudo
        }
    };
    let status = command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(args)
        .stdin(Stdio::null())
        .status()
        .context("apt-get does not start")?;
    if !status.success() {
        bail!("apt-get {} failed", args.join(" "));
    }
    Ok(())
}
