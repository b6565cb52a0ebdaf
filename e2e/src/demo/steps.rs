//! The steps of the demo, a line each: what is done, how far it is, how long it took.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::say;

/// Where the times stand.
const WIDTH: usize = 78;

/// A step under way. On a terminal its line is written anew whenever it gets further; elsewhere only
/// once more, at the end.
pub(super) struct Step {
    what: String,
    state: RefCell<String>,
    is_live: bool,
}

impl Step {
    /// How far it is.
    pub(super) fn is(&self, state: &str) {
        if *self.state.borrow() != state {
            state.clone_into(&mut self.state.borrow_mut());
            self.show_live(&self.line());
        }
    }

    fn line(&self) -> String {
        match self.state.borrow().as_str() {
            "" => self.head(),
            state => format!("{} … {state}", self.head()),
        }
    }

    fn head(&self) -> String {
        format!("  {}", self.what)
    }

    /// Carriage return, the line, and nothing behind it (ECMA-48: EL).
    fn show_live(&self, line: &str) {
        if self.is_live {
            say::part(&format!("\r{line}\x1b[K"));
        }
    }

    fn end(&self, time: &str) {
        let line = self.line();
        let room = WIDTH.saturating_sub(line.chars().count());
        let line = format!("{line} {time:>room$}");
        match self.is_live {
            true => say::line(&format!("\r{line}\x1b[K")),
            false => say::line(line.strip_prefix(&self.head()).unwrap_or(&line)),
        }
    }
}

/// Does a step.
pub(super) async fn step<T>(what: &str, work: impl AsyncFnOnce(&Step) -> Result<T>) -> Result<T> {
    let step = Step {
        what: what.to_owned(),
        state: RefCell::default(),
        is_live: std::io::stdout().is_terminal(),
    };
    say::part(&step.head());
    let began = Instant::now();
    let done = work(&step).await;
    let seconds = began.elapsed().as_secs_f64();
    step.end(&match done {
        Ok(_) => format!("{seconds:.1} s"),
        Err(_) => format!("failed after {seconds:.1} s"),
    });
    done.with_context(|| what.to_owned())
}
