//! The commands that `palomar local` shows work as pasted.

use std::process::Command;

use e2e::site::feed;

use crate::support::{PASSWORD, TestSite};

/// Runs a shell command on a terminal, as a person would: each question for a password is answered
/// when it is asked.
const TERMINAL: &str = r#"
import os, pty, sys
command, answer = sys.argv[1], sys.argv[2].encode() + b'\n'
child, terminal = pty.fork()
if child == 0:
    os.execvp('sh', ['sh', '-c', command])
seen, answered = b'', 0
while True:
    try:
        octets = os.read(terminal, 4096)
    except OSError:
        break
    if not octets:
        break
    seen += octets
    asked = seen.count(b'assword for') + seen.count(b'same again:') + seen.count(b"password for")
    if seen.rstrip().endswith(b':') and asked > answered:
        os.write(terminal, answer)
        answered = asked
sys.stdout.buffer.write(seen)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

#[tokio::test]
async fn the_screens_commands_work_as_pasted() {
    let site = TestSite::empty().await.unwrap();
    let screen = site.log_tail();
    let (_, shown) = screen.split_once("Try it").expect("the screen invites");
    let commands: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(commands.len(), 4, "{screen}");
    let mut last = String::new();
    for command in commands {
        let mut python = Command::new("python3");
        python
            .args(["-c", TERMINAL, command, PASSWORD])
            .current_dir(site.folder());
        let output = feed(python, "").unwrap();
        last = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}\n{last}");
    }
    assert!(last.contains("The first dove."), "{last}");
}
