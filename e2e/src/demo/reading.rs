//! Reading every mailbox with a real client.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, bail};

use super::population::Population;
use crate::ledger::{Ledger, Verdict};
use crate::real::Mailbox;
use crate::site::Site;

const THREADS: usize = 4;

/// How often a mailbox is tried: a session may end while its account is being moved.
const ATTEMPTS: usize = 5;

/// Reads everyone's mailbox into the ledger and judges it.
pub(super) async fn all(site: &Site, population: &Population, ledger: Ledger) -> Result<Verdict> {
    let ledger = Mutex::new(ledger);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = |index| {
            let (ledger, next) = (&ledger, &next);
            scope.spawn(move || reader(index, site, population, next, ledger))
        };
        let readers: Vec<_> = (0..THREADS).map(work).collect();
        readers
            .into_iter()
            .try_for_each(|reader| match reader.join() {
                Ok(done) => done,
                Err(_) => bail!("a reader panicked"),
            })
    })?;
    let ledger = ledger
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(ledger.verdict())
}

fn reader(
    index: usize,
    site: &Site,
    population: &Population,
    next: &AtomicUsize,
    ledger: &Mutex<Ledger>,
) -> Result<()> {
    let folder = site.folder().join(format!("reader-{index}"));
    std::fs::create_dir_all(&folder)?;
    let (ca, port) = (site.ca(), site.ports().pop3s);
    while let Some((user, password)) = population
        .people()
        .get(next.fetch_add(1, Ordering::Relaxed))
    {
        let mailbox = Mailbox {
            port,
            ca: &ca,
            user,
            password,
        };
        let numbers = patiently(&mailbox, &folder)?;
        let mut ledger = ledger
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        numbers.iter().for_each(|number| ledger.read(*number, user));
    }
    Ok(std::fs::remove_dir_all(&folder)?)
}

fn patiently(mailbox: &Mailbox<'_>, folder: &Path) -> Result<Vec<u64>> {
    for _ in 1..ATTEMPTS {
        if let Ok(numbers) = mailbox.numbers(folder) {
            return Ok(numbers);
        }
    }
    mailbox.numbers(folder)
}
