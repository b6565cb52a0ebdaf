//! The log line that a client's connection leaves.

use std::net::SocketAddr;
use std::time::Instant;

use wire::handoff::SessionId;

use super::client::{End, Entry};
use crate::login::Failure;
use crate::pump::Traffic;
use crate::shard::Route;

/// What is known of a connection; becomes one line when it is dropped, however it ends. Passwords
/// never come near it.
pub(super) struct Record {
    pub(super) session: SessionId,
    client: SocketAddr,
    entry: Entry,
    started: Instant,
    /// Whether the client said anything: port checks do not.
    pub(super) spoke: bool,
    failures: u32,
    admitted: Option<(Route, String)>,
    pub(super) traffic: Traffic,
    pub(super) end: End,
}

impl Record {
    pub(super) fn new(client: SocketAddr, entry: Entry) -> Self {
        Self {
            session: SessionId::random(),
            client,
            entry,
            started: Instant::now(),
            spoke: false,
            failures: 0,
            admitted: None,
            traffic: Traffic::default(),
            end: End::Cut,
        }
    }

    /// A login that failed; logged at once, because some people count them.
    pub(super) fn failed(&mut self, login: &str, failure: &Failure) {
        self.failures += 1;
        tracing::info!(
            session = %self.session,
            client = %self.client,
            ?login,
            reason = failure.label(),
            detail = %failure,
            "POP3 login failed"
        );
    }

    pub(super) fn admitted(&mut self, route: &Route, address: String) {
        self.admitted = Some((route.clone(), address));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let end = &self.end;
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (session, client) = (&self.session, self.client);
        let Some((route, address)) = &self.admitted else {
            // Port checks connect and leave, all day.
            if self.spoke {
                let failures = self.failures;
                tracing::info!(%session, %client, result = %end, failures, ms, "POP3 client");
            } else {
                tracing::debug!(%session, %client, result = %end, ms, "POP3 connection");
            }
            return;
        };
        tracing::info!(
            %session,
            %client,
            port = ?self.entry,
            address,
            account = %route.account,
            shard = %route.shard,
            epoch = %route.epoch,
            octets_in = self.traffic.from_client,
            octets_out = self.traffic.to_client,
            result = %end,
            ms,
            "POP3 session"
        );
    }
}
