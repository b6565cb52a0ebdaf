//! Whether this replica may speak: its store is its cluster's, it has loaded, and has lately had word.
//!
//! A replica that may not says "not me" before it does any work, and whoever asks goes to the next.
//! What needs no map (leases, confirmations, reports) asks the store itself and is not held back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kit::admin::{Condition, LookedUp, Number, Value};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tonic::Status;
use wire::answer::{NotMe, Word};

use crate::claim::Claim;
use crate::store::{Freshness, Unsure};

/// A changed password is valid everywhere after this, whatever is cut off. Longer than a store takes
/// to elect a leader or to be restarted.
pub const LIMIT: Duration = Duration::from_secs(60);

/// So often in its limit a replica asks for word.
const BEATS: u32 = 12;

/// The contact with the store.
pub struct Contact {
    claim: Claim,
    freshness: Arc<Freshness>,
    limit: Duration,
}

impl Contact {
    /// Word that is older than `limit` is none.
    pub(crate) fn new(claim: Claim, freshness: Arc<Freshness>, limit: Duration) -> Self {
        Self {
            claim,
            freshness,
            limit,
        }
    }

    /// Whether this replica may speak now.
    pub fn may_speak(&self) -> Result<(), NotMe> {
        self.claim.check()?;
        match self.freshness.age() {
            None => Err(NotMe::Loading),
            Some(age) if age > self.limit => Err(NotMe::OutOfTouch),
            Some(_) => Ok(()),
        }
    }

    /// As [`Self::may_speak`], as the answer to a call.
    pub(crate) fn check(&self) -> Result<(), Status> {
        self.may_speak().map_err(refused)
    }

    /// Asks for word again and again, at first until the map is loaded, and keeps `ready` up: no
    /// replica is less ready because its store is away, but says so. A replica whose store is its
    /// own is ready once it has loaded.
    pub(crate) async fn keep(&self, ready: &Condition, own_store: bool) -> Infallible {
        let beat = self.limit / BEATS;
        let mut before = Err(NotMe::Loading);
        loop {
            let proof = self.freshness.prove_current(Instant::now() + beat).await;
            let now = self.may_speak();
            if now != before {
                log(now, proof.as_ref().err());
                before = now;
            }
            show(ready, now, own_store);
            // Until it has loaded, the proof itself waits for that.
            let pause = if now.is_ok() { beat } else { beat / BEATS };
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns once the map is loaded.
    pub(crate) async fn loaded(&self) {
        self.freshness.loaded().await;
    }
}

/// What a call is told that goes to another replica.
pub(crate) fn refused(not_me: NotMe) -> Status {
    kit::rpc::unanswered(Word::NotMe(not_me))
}

/// Names the gauge in a registry.
pub(crate) fn register(
    registry: &mut Registry,
    age: impl Fn() -> Option<Duration> + Send + Sync + 'static,
) {
    let numbers = move || {
        let known = age().map(|age| Number {
            name: "store_contact_age_seconds",
            help: "Everything committed to the store longer ago than this is known here",
            value: Value::Gauge(age.as_secs()),
        });
        known.into_iter().collect()
    };
    registry.register_collector(Box::new(LookedUp(numbers)));
}

fn log(now: Result<(), NotMe>, unsure: Option<&Unsure>) {
    let reason = unsure.map(ToString::to_string);
    match now {
        Ok(()) => tracing::info!("this replica answers: its map is proven current"),
        Err(not_me) => tracing::warn!(%not_me, reason, "this replica answers no lookups"),
    }
}

fn show(ready: &Condition, now: Result<(), NotMe>, own_store: bool) {
    match now {
        Ok(()) => ready.met(),
        Err(NotMe::Loading) if own_store => ready.unmet("loading"),
        Err(not_me) => ready.met_but(not_me.to_string()),
    }
}
