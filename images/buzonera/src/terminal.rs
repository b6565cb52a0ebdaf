//! Questions to the person at the terminal. They go to standard error: standard output is the
//! command's result.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest line that is read, in octets; the kernel's own cap is 4,096.
const MAX_LINE: u64 = 8192;

/// Whether there is somebody to ask.
pub fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Asks, and reads one line without its end; empty when there is none.
pub fn ask(question: &str) -> io::Result<String> {
    let mut err = io::stderr();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().take(MAX_LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// While this lives, nothing that is typed shows but the line's end.
pub struct Unseen {
    before: Termios,
}

impl Unseen {
    /// Begins before the question is asked, or fast typing would show. What was typed before that is
    /// thrown away: it was meant for something else.
    pub fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
        Ok(Self { before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
