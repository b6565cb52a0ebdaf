//! A shell command on a pseudo-terminal, with a person who answers its questions. Python's `pty`
//! makes the terminal: to do that from here takes unsafe code.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::site::feed;

/// Each question (text that ends in a colon) is answered when it is asked. Ends as the command did.
const PERSON: &str = r"
import os, pty, sys
command, answers = sys.argv[1], [answer.encode() + b'\n' for answer in sys.argv[2:]]
child, terminal = pty.fork()
if child == 0:
    os.execvp('sh', ['sh', '-c', command])
seen, since = b'', b''
while True:
    try:
        octets = os.read(terminal, 4096)
    except OSError:
        break
    if not octets:
        break
    seen, since = seen + octets, since + octets
    if answers and since.rstrip().endswith(b':'):
        os.write(terminal, answers.pop(0))
        since = b''
sys.stdout.buffer.write(seen)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
";

/// What came of it.
pub struct Seen {
    /// The command's exit code.
    pub code: Option<i32>,
    /// All that the screen showed, echoes included.
    pub screen: String,
}

/// Runs `command` in `folder` and answers its questions, one after the other.
pub fn run(folder: &Path, command: &str, answers: &[&str]) -> Result<Seen> {
    let mut python = Command::new("python3");
    python.args(["-c", PERSON, command]).args(answers);
    python.current_dir(folder);
    let output = feed(python, "")?;
    let shown = [output.stdout, output.stderr].concat();
    Ok(Seen {
        code: output.status.code(),
        screen: String::from_utf8_lossy(&shown).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_and_echoed() {
        let command =
            "read -p 'Name: ' name; echo; read -p 'Again: ' again; echo $name-$again; exit 3";
        let command = format!("bash -c '{}'", command.replace('\'', r"'\''"));
        let seen = run(Path::new("/"), &command, &["ana", "bo"]).unwrap();
        assert_eq!(seen.code, Some(3), "{}", seen.screen);
        assert!(seen.screen.contains("Name: ana"), "{}", seen.screen);
        assert!(seen.screen.contains("ana-bo"), "{}", seen.screen);
    }
}
