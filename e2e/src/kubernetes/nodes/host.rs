//! Whether this machine can have a Kubernetes with nodes: said in one sentence before anything is
//! begun.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::groups;
use crate::{packages, places};

/// What the system has to have, and the packages it is in. CNI's plugins are not on PATH.
pub const PROGRAMS: [packages::Wanted; 12] = [
    ("buildah", "buildah"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("conntrack", "conntrack"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("runc", "runc"),
    ("unshare", "util-linux"),
];

/// Fails with the one thing that is missing first.
pub fn check() -> Result<()> {
    check_kernel()?;
    for (program, package) in PROGRAMS {
        if places::on_path(program).is_none() {
            bail!("Kubernetes cannot run here without {program} (Debian: {package})");
        }
    }
    Ok(())
}

/// As [`check`], but for what packages bring.
pub fn check_kernel() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("Kubernetes' nodes need root: they are namespaces of this machine");
    }
    if groups::version().is_none() {
        bail!(
            "Kubernetes' nodes need control groups (cpu, cpuset, memory, pids), mounted at /sys/fs/cgroup"
        );
    }
    for folder in ["/run", "/var/lib", "/var/log"] {
        if [places::workspace(), places::cache()]
            .iter()
            .any(|place| place.starts_with(folder))
        {
            bail!(
                "Kubernetes' nodes have a {folder} of their own: neither the workspace nor BUZONERA_CACHE can be there"
            );
        }
    }
    for (module, file, what) in [
        (
            "br_netfilter",
            "/proc/sys/net/bridge",
            "bridges that iptables sees",
        ),
        ("overlay", "/sys/module/overlay", "overlay file systems"),
    ] {
        if !has_module(module, file) {
            bail!("Kubernetes' nodes need {what}, and this kernel has none (modprobe {module})");
        }
    }
    if !can_unshare() {
        bail!("Kubernetes' nodes need namespaces, and none can be made here (unshare)");
    }
    Ok(())
}

/// Loaded, or to be loaded.
fn has_module(name: &str, file: &str) -> bool {
    let there = || Path::new(file).exists();
    // Some are a part of the kernel, and some kernels have no modules at all.
    there()
        || Command::new("modprobe")
            .arg(name)
            .output()
            .is_ok_and(|_| there())
}

fn can_unshare() -> bool {
    let kinds = [
        "--fork", "--pid", "--mount", "--net", "--uts", "--ipc", "true",
    ];
    let tried = Command::new("unshare").args(kinds).output();
    tried.is_ok_and(|output| output.status.success())
}
