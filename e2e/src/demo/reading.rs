//! Reading every mailbox with a real client.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;

use super::population::Population;
use super::steps::Step;
use crate::ledger::{Digest, Ledger, Verdict};
use crate::real::{Mailbox, Pop3s, Reader};

const THREADS: usize = 4;

/// Between two looks at how many are read.
const LOOK: Duration = Duration::from_millis(100);

/// How often a mailbox is tried: a session may end while its account is being moved.
const ATTEMPTS: usize = 5;

/// Reads everyone's mailbox into the ledger and judges it.
pub(super) fn all(
    step: &Step,
    reader: Reader,
    server: &Pop3s,
    folder: &Path,
    population: &Population,
    ledger: Ledger,
) -> Result<Verdict> {
    let ledger = Mutex::new(ledger);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = Work {
        reader,
        server,
        folder,
        population,
        next: &next,
        done: &done,
        ledger: &ledger,
    };
    thread::scope(|scope| {
        let start = |index| scope.spawn(move || work.read(index));
        let readers: Vec<_> = (0..THREADS).map(start).collect();
        while !readers.iter().all(|reader| reader.is_finished()) {
            let read = done.load(Ordering::Relaxed);
            step.is(&format!("{read} of {}", population.people().len()));
            thread::sleep(LOOK);
        }
        readers
            .into_iter()
            .try_for_each(|reader| match reader.join() {
                Ok(done) => done,
                Err(_) => bail!("a reader panicked"),
            })
    })?;
    let everyone = population.people().len();
    step.is(&format!("{everyone} of {everyone}"));
    let ledger = ledger.into_inner();
    Ok(ledger.verdict())
}

/// What the readers share.
#[derive(Clone, Copy)]
struct Work<'a> {
    reader: Reader,
    server: &'a Pop3s,
    folder: &'a Path,
    population: &'a Population,
    next: &'a AtomicUsize,
    done: &'a AtomicUsize,
    ledger: &'a Mutex<Ledger>,
}

impl Work<'_> {
    /// Reads one mailbox after the other until none is left.
    fn read(self, index: usize) -> Result<()> {
        let folder = self.folder.join(format!("reader-{index}"));
        std::fs::create_dir_all(&folder)?;
        let people = self.population.people();
        while let Some((user, password)) = people.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let mailbox = Mailbox {
                server: self.server,
                user,
                password,
            };
            let messages = self.patiently(&mailbox, &folder)?;
            let mut ledger = self.ledger.lock();
            for (number, body) in messages {
                ledger.read_whole(number, user, body);
            }
            drop(ledger);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    fn patiently(self, mailbox: &Mailbox<'_>, folder: &Path) -> Result<Vec<(u64, Digest)>> {
        for _ in 1..ATTEMPTS {
            if let Ok(messages) = mailbox.messages(self.reader, folder) {
                return Ok(messages);
            }
        }
        mailbox.messages(self.reader, folder)
    }
}
