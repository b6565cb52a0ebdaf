//! A reader who logs in again and again, to one account after the other.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::demo::population::Population;
use crate::real::{Mailbox, Pop3s};

/// Between two logins.
const PAUSE: Duration = Duration::from_millis(200);

/// It, at work.
pub(super) struct Logins {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counted>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) all: u64,
    /// What was said to those that were refused, or could not ask.
    pub(super) refused: Vec<String>,
}

impl Logins {
    pub(super) fn start(pop3s: &Pop3s, population: &Population, folder: &Path) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (pop3s, until) = (pop3s.clone(), Arc::clone(&stop));
        let people = population.people().to_vec();
        let folder = folder.join("logins");
        fs::create_dir_all(&folder)?;
        let thread = thread::spawn(move || {
            let mut counted = Counted::default();
            for (user, password) in people.iter().cycle() {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                let mailbox = Mailbox {
                    server: &pop3s,
                    user,
                    password,
                };
                counted.all += 1;
                let login = mailbox.login(&folder);
                let refused = login.err().map(|error| error.to_string());
                counted.refused.extend(refused);
                thread::sleep(PAUSE);
            }
            fs::remove_dir_all(&folder)?;
            Ok(counted)
        });
        Ok(Self { stop, thread })
    }

    pub(super) fn finish(self) -> Result<Counted> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(counted) => counted,
            Err(_) => bail!("the reader panicked"),
        }
    }
}
