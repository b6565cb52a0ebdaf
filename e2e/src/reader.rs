//! Mailboxes that are read again and again: which message was first seen when.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustls::ClientConfig;

use crate::ledger::Ledger;
use crate::{message, pop3};

/// One mailbox and what was read in it.
pub struct Reader {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    user: String,
    password: String,
    ids: HashSet<String>,
    /// When each message was first there, by its number.
    seen: BTreeMap<u64, Vec<Instant>>,
}

impl Reader {
    /// Has read nothing yet.
    pub fn new(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        user: impl Into<String>,
        password: &str,
    ) -> Self {
        Self {
            address,
            tls,
            user: user.into(),
            password: password.to_owned(),
            ids: HashSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Whose mailbox it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Reads what is new; what was read counts even if the session breaks then.
    pub async fn read_on(&mut self) -> Result<()> {
        let (user, password) = (&self.user, &self.password);
        let login = pop3::Client::login(self.address, &self.tls, user, password);
        let mut client = login.await?;
        for (place, id) in client.unique_ids().await? {
            if self.ids.contains(&id) {
                continue;
            }
            let text = client.retrieve(place).await?;
            let number = message::number(&text).context("a message that was never sent")?;
            self.ids.insert(id);
            self.seen.entry(number).or_default().push(Instant::now());
        }
        client.quit().await
    }

    /// When a message was first read.
    pub fn seen(&self, number: u64) -> Option<Instant> {
        self.seen.get(&number)?.first().copied()
    }

    /// Notes all that was read.
    pub fn tell(&self, ledger: &mut Ledger) {
        for (number, times) in &self.seen {
            times.iter().for_each(|_| ledger.read(*number, &self.user));
        }
    }
}
