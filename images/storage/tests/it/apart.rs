//! Tests that need a file system or a network of their own: run again by a child process in a
//! namespace, which needs no right that a container has not.

use std::process::Command;

/// Says to the child which test it is to be.
const INSIDE: &str = "BUZONERA_TEST_INSIDE";

/// Whether this is the child. Otherwise starts it, after `setup` in a shell whose `$1` is `path`,
/// and waits for its success.
pub(crate) fn is_inside(test: &str, kind: &str, setup: &str, path: &str) -> bool {
    if std::env::var(INSIDE).is_ok_and(|name| name == test) {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{setup} && exec \"$2\" --exact \"$3\" --nocapture");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", kind, "sh", "-c", &script, "sh"])
        .args([path, program.to_str().unwrap(), test])
        .env(INSIDE, test)
        .output()
        .expect("unshare (util-linux) starts");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}", text.concat());
    assert!(
        text[0].contains("1 passed"),
        "no such test: {}",
        text.concat()
    );
    false
}
