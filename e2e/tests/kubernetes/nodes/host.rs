//! A machine that cannot have nodes is told so in one sentence, and nothing is begun.

use std::process::Command;

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[test]
fn whoever_is_not_root_is_told_so() {
    // In a namespace of users without any, nobody is root.
    let mut up = Command::new("unshare");
    up.args(["--user", env!("CARGO_BIN_EXE_e2e"), "up"]);
    let output = up.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = "failed: Kubernetes' nodes need root: they are namespaces of this machine\n";
    assert_eq!(said, wanted, "{output:?}");
}
