//! Readers that delete, whatever happens to the tiers: what a session listed is in the next one too, under
//! the same unique-id, unless it was deleted, and what QUIT's `+OK` deleted stays away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use e2e::maildrop::Maildrop;
use e2e::message::{Random, number};
use e2e::pop3;
use rustls::ClientConfig;

use super::{Load, PASSWORD, address, whole};

/// Most messages deleted in one session.
const MOST_DELETED: u64 = 4;

/// What a reader knows of each of its accounts.
pub(super) type Maildrops = BTreeMap<u64, Maildrop>;

/// Where mailboxes are read.
#[derive(Clone)]
pub(super) struct Pop3 {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ClientConfig>,
}

/// Reads and deletes in these accounts, which nobody else reads, until the load stops.
pub(super) async fn read(
    load: Arc<Load>,
    pop3: Pop3,
    mut maildrops: Maildrops,
    mut random: Random,
) -> Result<Maildrops> {
    let accounts: Vec<u64> = maildrops.keys().copied().collect();
    while !load.stop.load(Ordering::Relaxed) {
        let account = accounts[usize::try_from(random.below(accounts.len() as u64))?];
        let maildrop = maildrops.entry(account).or_default();
        let address = address(account);
        match pop3.login(&address).await {
            Ok(client) => session(&load, client, &address, maildrop, &mut random).await?,
            Err(error) => temporary(&error)?,
        }
    }
    Ok(maildrops)
}

/// Tiers that are away are no reason to call the password wrong.
fn temporary(error: &anyhow::Error) -> Result<()> {
    let text = format!("{error:#}");
    ensure!(!text.contains("[AUTH]"), "refused for good: {text}");
    Ok(())
}

impl Pop3 {
    pub(super) async fn login(&self, address: &str) -> Result<pop3::Client> {
        pop3::Client::login(self.address, &self.tls, address, PASSWORD).await
    }
}

/// One session. That it breaks belongs to the test; what is wrong in what it says does not.
async fn session(
    load: &Load,
    mut client: pop3::Client,
    address: &str,
    maildrop: &mut Maildrop,
    random: &mut Random,
) -> Result<()> {
    let Ok(listed) = client.unique_ids().await else {
        return Ok(());
    };
    check(address, maildrop, listed.iter().map(|(_, id)| id))?;
    let mut marked = Vec::new();
    for _ in 0..random.below(MOST_DELETED + 1).min(listed.len() as u64) {
        let (message, id) = &listed[usize::try_from(random.below(listed.len() as u64))?];
        if marked.iter().any(|(known, _)| known == id) {
            continue;
        }
        let Ok(octets) = client.retrieve(*message).await else {
            return Ok(());
        };
        let mark = number(&octets).context("a message that was never sent")?;
        ensure!(whole(&octets, mark, address), "message {mark} is damaged");
        if client.ask(&format!("DELE {message}")).await.is_err() {
            return Ok(());
        }
        marked.push((id.clone(), mark));
    }
    quit(load, client, address, maildrop, &marked).await;
    Ok(())
}

/// Fails if something is missing that has to be there, or there that was deleted.
pub(super) fn check<'a>(
    address: &str,
    maildrop: &mut Maildrop,
    ids: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let ids: Vec<String> = ids.cloned().collect();
    maildrop.listed(&ids);
    let faults = maildrop.faults();
    ensure!(faults.is_empty(), "{address}: {}", faults.join(", "));
    Ok(())
}

async fn quit(
    load: &Load,
    client: pop3::Client,
    address: &str,
    maildrop: &mut Maildrop,
    marked: &[(String, u64)],
) {
    let ids = || marked.iter().map(|(id, _)| id);
    let marks = || marked.iter().map(|(_, mark)| *mark);
    maildrop.deleting(ids());
    let answered = client.quit().await;
    let mut ledger = load.ledger.lock();
    match answered {
        Ok(()) => {
            maildrop.deleted(ids());
            marks().for_each(|mark| ledger.read(mark, address));
            load.deleted
                .fetch_add(marked.len() as u64, Ordering::Relaxed);
        }
        Err(_) => marks().for_each(|mark| ledger.may_be_gone(mark, address)),
    }
}
