//! A way to the API server that notes each request that changes something, and can be cut right
//! behind one.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;
use tower::{Layer, Service};

use crate::support::Namespace;
use crate::watches::Watches;

/// How often is looked whether something was written.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until nobody has written anything for so long.
pub(crate) async fn rest(all: &[Writes], quiet: Duration, limit: Duration) -> Result<()> {
    let (began, mut last) = (Instant::now(), Instant::now());
    let count = || all.iter().map(|writes| writes.noted.lock().len());
    let mut before: Vec<_> = count().collect();
    while last.elapsed() < quiet {
        sleep(LOOK).await;
        let now: Vec<_> = count().collect();
        if now != before {
            last = Instant::now();
        }
        let late = all.iter().zip(&before).flat_map(|(writes, before)| {
            let noted = writes.noted();
            noted.get(*before..).unwrap_or_default().to_vec()
        });
        let late: Vec<_> = late.collect();
        let is_too_late = began.elapsed() > limit && !late.is_empty();
        ensure!(!is_too_late, "nobody rests: {late:?}");
        before = now;
    }
    Ok(())
}

/// The requests that changed something, in order.
#[derive(Clone, Default)]
pub(crate) struct Writes {
    noted: Arc<Mutex<Vec<String>>>,
    /// So many more are let through; what comes then is never answered.
    left: Arc<Mutex<Option<usize>>>,
    cut: Arc<Notify>,
}

impl Writes {
    /// A client whose writes are noted here.
    pub(crate) async fn client(&self, namespace: &Namespace) -> Result<Client> {
        let builder = ClientBuilder::try_from(namespace.access().config().await?)?;
        Ok(builder.with_layer(self).build())
    }

    /// Likewise, and it may do what that service account may.
    pub(crate) async fn client_as(&self, namespace: &Namespace, account: &str) -> Result<Client> {
        let config = namespace.access().config_as(&namespace.name, account);
        let builder = ClientBuilder::try_from(config.await?)?;
        Ok(builder.with_layer(self).build())
    }

    /// Likewise, and what it follows can be held back.
    pub(crate) async fn behind(&self, namespace: &Namespace, watches: &Watches) -> Result<Client> {
        let builder = ClientBuilder::try_from(namespace.access().config().await?)?;
        Ok(builder.with_layer(self).with_layer(watches).build())
    }

    /// What was written: method and path, without the namespace's own.
    pub(crate) fn noted(&self) -> Vec<String> {
        self.noted.lock().clone()
    }

    /// The answer to the next write, and everything after it, does not come any more.
    pub(crate) fn cut_behind_next(&self) {
        *self.left.lock() = Some(1);
    }

    /// Everything is answered again.
    pub(crate) fn mend(&self) {
        *self.left.lock() = None;
    }

    /// Returns once a write was done whose answer does not come.
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    fn note(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let place = path.split("/namespaces/").nth(1).unwrap_or(path);
        let place = place.split_once('/').map_or(place, |(_, rest)| rest);
        // Events are told to people, and nobody depends on them.
        let is_write = request.method() != Method::GET && !place.starts_with("events");
        if is_write {
            self.noted
                .lock()
                .push(format!("{} {place}", request.method()));
        }
        is_write
    }

    /// Whether what comes now is never answered.
    fn is_dead(&self) -> bool {
        *self.left.lock() == Some(0)
    }

    fn spend(&self) -> bool {
        let mut left = self.left.lock();
        if let Some(left) = left.as_mut() {
            *left = left.saturating_sub(1);
            return *left == 0;
        }
        false
    }
}

impl<S> Layer<S> for Writes {
    type Service = Noted<S>;

    fn layer(&self, inner: S) -> Noted<S> {
        Noted {
            inner,
            writes: self.clone(),
        }
    }
}

/// Hands requests on.
#[derive(Clone)]
pub(crate) struct Noted<S> {
    inner: S,
    writes: Writes,
}

impl<S, B> Service<Request<Body>> for Noted<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let writes = self.writes.clone();
        if writes.is_dead() {
            return Box::pin(pending());
        }
        let is_write = writes.note(&request);
        let is_last = is_write && writes.spend();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if is_last {
                writes.cut.notify_one();
                return pending().await;
            }
            answer
        })
    }
}
