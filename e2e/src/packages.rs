//! Programs that we run, from Debian's archive.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{places, say};

/// A program, and the package it is in.
pub type Wanted = (&'static str, &'static str);

/// What the tests run.
const OF_TESTS: [Wanted; 10] = [
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
const OF_PERL: [Wanted; 1] = [("Net::SSLeay", "libnet-ssleay-perl")];

/// What builds images.
pub const OF_IMAGES: [Wanted; 1] = [("buildah", "buildah")];

/// Installs what the tests need and is missing, after asking.
pub fn provide_for_tests(yes: bool) -> Result<()> {
    let modules = OF_PERL.iter().filter(|(module, _)| !perl_has(module));
    install(missing(&OF_TESTS).chain(modules), yes)
}

/// Installs what is missing of these, after asking.
pub fn provide(wanted: &[Wanted], yes: bool) -> Result<()> {
    install(missing(wanted), yes)
}

fn missing(wanted: &[Wanted]) -> impl Iterator<Item = &Wanted> {
    let is_missing = |(program, _): &&Wanted| places::on_path(program).is_none();
    wanted.iter().filter(is_missing)
}

fn install<'a>(missing: impl Iterator<Item = &'a Wanted>, yes: bool) -> Result<()> {
    let mut missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !yes && !say::ask(&format!("{list} will be needed. Install with apt-get?")) {
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
