//! Tells how the opening of the volume goes: the directory, `/readyz`, the log and a gauge.
//!
//! The opening waits for none of it, and goes on whoever hears of it.

use std::convert::Infallible;
use std::time::Duration;

use kit::admin::Condition;
use kit::rpc::DirectoryClient;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, timeout};
use tonic::{Request, Status};
use wire::rpc::TellOpeningRequest;

use super::{Opening, Progress};

/// Often enough to be watched; the directory writes down what it needs.
const EVERY: Duration = Duration::from_secs(3);

/// How long one word may take on its way; the next one is newer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of the gauge, once the volume is open.
const WHOLE: i64 = 100;

/// A recovery of an hour leaves a hundred lines.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Who hears of an opening.
pub(crate) struct Teller<'a> {
    pub(crate) directory: &'a DirectoryClient,
    pub(crate) ready: &'a Condition,
    /// Of the heap that is to be read, how much was, in hundredths.
    pub(crate) percent: &'a Gauge,
}

impl Teller<'_> {
    /// Tells for as long as `opening` lasts, first at once. When this returns nothing is told any
    /// more: the lease is asked for after that.
    pub(crate) async fn during<T, E>(
        &self,
        progress: &Progress,
        opening: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let opened = tokio::select! {
            opened = opening => opened,
            never = self.tell(progress) => match never {},
        };
        self.ready.met();
        if opened.is_ok() {
            self.percent.set(WHOLE);
        }
        opened
    }

    async fn tell(&self, progress: &Progress) -> Infallible {
        let mut logged = None;
        let mut failing = false;
        loop {
            let opening = progress.now();
            self.show(opening, &mut logged);
            let told = self.tell_directory(opening).await;
            if let Err(status) = &told
                && !failing
            {
                tracing::info!(%status, "the directory does not hear how the volume opens");
            }
            failing = told.is_err();
            tokio::time::sleep(EVERY).await;
        }
    }

    fn show(&self, opening: Opening, logged: &mut Option<(Instant, bool)>) {
        self.ready.met_but(opening.to_string());
        self.percent.set(opening.percent().into());
        let recovers = match opening {
            Opening::Opens => false,
            Opening::Recovers(_) => true,
        };
        let is_old = |(at, of): (Instant, bool)| at.elapsed() >= LOG_EVERY || of != recovers;
        if logged.is_none_or(is_old) {
            tracing::info!("{opening}");
            *logged = Some((Instant::now(), recovers));
        }
    }

    async fn tell_directory(&self, opening: Opening) -> Result<(), Status> {
        let mut request = Request::new(TellOpeningRequest {
            opening: Some(opening.into()),
        });
        request.set_timeout(PATIENCE);
        let mut registry = self.directory.registry();
        let told = timeout(PATIENCE, registry.tell_opening(request)).await;
        let late = |_| Status::deadline_exceeded("it does not answer");
        told.map_err(late)?.map(drop)
    }
}
