//! Reading every mailbox with a real client.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;

use super::population::Population;
use super::steps::Step;
use crate::ledger::{Ledger, Verdict};
use crate::real::{Mailbox, Reader};
use crate::site::Site;

const THREADS: usize = 4;

/// Between two looks at how many are read.
const LOOK: Duration = Duration::from_millis(100);

/// How often a mailbox is tried: a session may end while its account is being moved.
const ATTEMPTS: usize = 5;

/// Reads everyone's mailbox into the ledger and judges it.
pub(super) fn all(
    step: &Step,
    reader: Reader,
    site: &Site,
    population: &Population,
    ledger: Ledger,
) -> Result<Verdict> {
    let ledger = Mutex::new(ledger);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = Work {
        reader,
        site,
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
    site: &'a Site,
    population: &'a Population,
    next: &'a AtomicUsize,
    done: &'a AtomicUsize,
    ledger: &'a Mutex<Ledger>,
}

impl Work<'_> {
    /// Reads one mailbox after the other until none is left.
    fn read(self, index: usize) -> Result<()> {
        let folder = self.site.folder().join(format!("reader-{index}"));
        std::fs::create_dir_all(&folder)?;
        let (ca, port) = (self.site.ca(), self.site.ports().pop3s);
        let people = self.population.people();
        while let Some((user, password)) = people.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let mailbox = Mailbox {
                port,
                ca: &ca,
                user,
                password,
            };
            let numbers = self.patiently(&mailbox, &folder)?;
            let mut ledger = self.ledger.lock();
            numbers.iter().for_each(|number| ledger.read(*number, user));
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    fn patiently(self, mailbox: &Mailbox<'_>, folder: &Path) -> Result<Vec<u64>> {
        for _ in 1..ATTEMPTS {
            if let Ok(numbers) = mailbox.numbers(self.reader, folder) {
                return Ok(numbers);
            }
        }
        mailbox.numbers(self.reader, folder)
    }
}
