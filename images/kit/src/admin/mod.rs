//! The admin port: is the process alive, is it ready, what does it count.
//!
//! Plain HTTP, so it stays on loopback or inside a pod. `/livez` answers as long as the process
//! can; `/readyz` is 503 with a list of what is missing, or 200 with a list of what is amiss all the
//! same; `/metrics` is in OpenMetrics text, which
//! Prometheus reads. One port serves all tiers of a process.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::lifecycle::Shutdown;
use crate::listener::{Accepted, Admission, BindError, ListenAt, Listener, ListenerConfig};

mod looked_up;
mod merge;
mod metrics;
mod readiness;

pub use looked_up::{LookedUp, Number, Value};
pub use metrics::Metrics;
pub use readiness::{Condition, Readiness};

/// What a process shows of itself; cheap to clone, shared by all its tiers.
#[derive(Debug, Clone, Default)]
pub struct Admin {
    /// What it counts.
    pub metrics: Metrics,
    /// What must hold for it to be ready.
    pub readiness: Readiness,
}

/// A scraper or two, the kubelet, a person.
const MAX_CONNECTIONS: usize = 64;

/// A request is one short head.
const HEAD: Duration = Duration::from_secs(5);

/// Scrapers keep their connection between scrapes; after this they open another.
const CONNECTION: Duration = Duration::from_secs(300);

/// Opens the admin port; `flag` is named when it is busy.
pub fn bind(address: impl Into<ListenAt>, flag: &'static str) -> Result<Listener, BindError> {
    Listener::bind(ListenerConfig {
        max_connections: MAX_CONNECTIONS,
        max_per_address: MAX_CONNECTIONS,
        ..ListenerConfig::new("admin", flag, address)
    })
}

/// Serves the admin port. It outlives the other listeners: it answers until the work that holds
/// the process up is done, with `/readyz` 503 from closing on.
pub async fn serve(listener: Listener, admin: Admin, shutdown: Shutdown) {
    let router = router(admin, shutdown.clone());
    // Its own end: scrapers keep nothing up, and go with the port.
    let port = Shutdown::new(Duration::ZERO, Duration::ZERO);
    let over = async {
        shutdown.closing().await;
        // What was cut is named where the process ends.
        let _ = shutdown.drained().await;
        port.trigger();
    };
    let each = listener.each(&port, "scrapers", |accepted| one(accepted, router.clone()));
    tokio::join!(over, each);
    // Scrapers are cut at once, and nobody misses them.
    let _ = port.drained().await;
}

async fn one(accepted: Accepted, router: Router) {
    let Admission::Admitted(_permit) = accepted.admission else {
        return;
    };
    let service = service_fn(move |request| router.clone().oneshot(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(accepted.stream), service);
    // What goes wrong here is the client's affair, and nothing is lost.
    let _ = timeout(CONNECTION, connection).await;
}

#[derive(Clone)]
struct Shown {
    admin: Admin,
    shutdown: Shutdown,
}

fn router(admin: Admin, shutdown: Shutdown) -> Router {
    Router::new()
        .route("/livez", get(async || Ok::<_, Infallible>("ok\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shown { admin, shutdown })
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, String) {
    let mut unmet = shown.admin.readiness.unmet();
    if shown.shutdown.is_closing() {
        unmet.push("closing".to_owned());
    }
    let (status, mut lines) = match unmet.is_empty() {
        true => (StatusCode::OK, vec!["ok".to_owned()]),
        false => (StatusCode::SERVICE_UNAVAILABLE, unmet),
    };
    lines.extend(shown.admin.readiness.remarks());
    lines.push(String::new());
    (status, lines.join("\n"))
}

/// The media type of OpenMetrics 1.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(shown): State<Shown>) -> Response {
    let headers = [(header::CONTENT_TYPE, OPENMETRICS)];
    (headers, shown.admin.metrics.text()).into_response()
}
