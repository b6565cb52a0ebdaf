//! Lines for the person who watches. A closed pipe is no reason to panic.

use std::io::{self, Write};

/// Writes one line to standard output.
pub fn line(text: &str) {
    part(&format!("{text}\n"));
}

/// Writes without ending the line.
pub fn part(text: &str) {
    let mut out = io::stdout();
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Asks a question whose answer is yes or no; no terminal means no.
pub fn ask(question: &str) -> bool {
    use io::IsTerminal;
    if !io::stdin().is_terminal() {
        return false;
    }
    part(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
