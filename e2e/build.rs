//! Finds out whether tests can make namespaces. Where they cannot, tests that need some are counted
//! as ignored, with the reason, and not as passed.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Root here and a user there share one target folder.
    println!("cargo::rerun-if-env-changed=USER");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-check-cfg=cfg(namespaces)");
    if can_make_namespaces() {
        println!("cargo::rustc-cfg=namespaces");
    }
}

/// A network namespace, and a mount namespace with a disk from a file.
fn can_make_namespaces() -> bool {
    let probe = "ip link add buzprobe type veth peer name buzprobe2 && command -v mkfs.ext4 && \
                 mount -t tmpfs buzonera /mnt && losetup -f";
    let status = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
