//! A channel: calls to one process over a connection that is made, shared and renewed as needed.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::uri::Scheme;
use tonic::codegen::http::{Request, Response, Uri, header};
use tonic::codegen::{BoxFuture as CallFuture, Service};
use wire::identity::Identity;

use super::body::{Reply, broken};
use super::connect::{BadEndpoint, ConnectError, Sender, Target, parse_endpoint, unsent};
use super::{CONNECTION_WINDOW, STREAM_WINDOW, deadline};
use crate::tls::Credentials;

/// How a channel behaves.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// For TCP, TLS and the server's first octets together.
    pub connect_timeout: Duration,
    /// Per call, from the call to the reply's head, connecting included. A request's own
    /// `set_timeout` goes before it.
    pub deadline: Duration,
    /// After a failed attempt no other is made for this long; calls fail with its error.
    pub pause_after_failure: Duration,
    /// HTTP/2 pings, also on an idle connection.
    pub keep_alive_interval: Duration,
    /// A ping unanswered for this long ends the connection and fails its calls.
    pub keep_alive_timeout: Duration,
    /// HTTP/2 window of one stream, octets.
    pub stream_window: u32,
    /// HTTP/2 window of the connection, octets.
    pub connection_window: u32,
}

impl Default for ChannelOptions {
    /// Connecting: three lost SYNs are 3 s. Deadline: nothing inside takes ten seconds but bulk,
    /// which sets its own. Pause: so that a dead process costs ten attempts a second. Pings: a
    /// frozen machine is noticed within 30 s, a dead one by TCP within 50 s.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            deadline: Duration::from_secs(10),
            pause_after_failure: Duration::from_millis(100),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
        }
    }
}

/// Calls to one process; cheap to clone, one connection for all clones. Hand it to a generated
/// client: `ShardClient::new(channel)`.
///
/// Errors: UNAVAILABLE when no connection came about ([`is_unsent`]) or it broke; then the request
/// may or may not have been carried out. DEADLINE_EXCEEDED likewise.
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    target: Arc<Target>,
    link: Mutex<Option<Link>>,
}

/// An attempt to connect and what came of it, shared by all who wait for it.
type Link = Shared<BoxFuture<'static, Result<Sender, Failure>>>;

#[derive(Clone)]
struct Failure {
    error: ConnectError,
    at: Instant,
}

/// A channel to the process `expect` at `endpoint` (`host:port`). It connects with the first call,
/// each time with the newest certificate.
pub fn channel(
    endpoint: &str,
    expect: &Identity,
    credentials: &Credentials,
    options: ChannelOptions,
) -> Result<Channel, BadEndpoint> {
    let target = Target {
        name: format!("{expect} at {endpoint}").into(),
        authority: parse_endpoint(endpoint)?,
        tls: credentials.client_config(expect),
        options,
    };
    Ok(Channel {
        inner: Arc::new(Inner {
            target: Arc::new(target),
            link: Mutex::new(None),
        }),
    })
}

/// Whether a call failed before anything of it was sent, so that it is safe to send it elsewhere.
pub fn is_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

impl Channel {
    /// Waits for a connection, making one if there is none.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        self.inner.sender().await.map(|_| ())
    }

    /// Begins to connect, if there is no connection; does not wait.
    pub fn warm_up(&self) {
        drop(self.inner.link());
    }

    /// Whether a connection stands now.
    pub fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    /// Whom it calls, "spiffe://… at host:port".
    pub fn target(&self) -> &str {
        &self.inner.target.name
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = CallFuture<Response<Body>, Status>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { inner.call(request).await })
    }
}

impl Inner {
    async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let limit = deadline::of(request.headers()).unwrap_or(self.target.options.deadline);
        deadline::tell(request.headers_mut(), limit);
        self.address(&mut request);
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(Status::deadline_exceeded(format!(
                "{} did not answer within {} ms",
                self.target.name,
                limit.as_millis()
            ))),
        }
    }

    /// Sends on the standing connection. A connection that turns out to be closed gives the request
    /// back unsent, and it goes out on a new one.
    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let mut sender = self.sender().await.map_err(unsent)?;
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(self.reply(response)),
            Err(mut error) => match error.take_message() {
                Some(back) => request = back,
                None => return Err(broken(&self.target.name, error.error())),
            },
        }
        let mut sender = self.sender().await.map_err(unsent)?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok(self.reply(response)),
            Err(error) => Err(broken(&self.target.name, error.error())),
        }
    }

    fn reply(&self, response: Response<hyper::body::Incoming>) -> Response<Body> {
        let from = self.target.name.clone();
        response.map(|inner| Body::new(Reply { inner, from }))
    }

    /// HTTP/2 wants scheme and authority; generated clients know only the path.
    fn address(&self, request: &mut Request<Body>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.target.authority.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        let agent = header::HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
    }

    async fn sender(&self) -> Result<Sender, ConnectError> {
        self.link().await.map_err(|failure| failure.error)
    }

    /// The current attempt, or a new one when that one is of no more use. It runs in a task, so
    /// that a caller who gives up does not end it for the others.
    fn link(&self) -> Link {
        let mut link = self.link.lock();
        if let Some(current) = link.as_ref().filter(|link| self.is_of_use(link)) {
            return current.clone();
        }
        let target = self.target.clone();
        let attempt = async move {
            let connected = target.connect().await;
            let at = Instant::now();
            connected.map_err(|error| Failure { error, at })
        };
        let renewed = attempt.boxed().shared();
        tokio::spawn(renewed.clone().map(drop));
        *link = Some(renewed.clone());
        renewed
    }

    fn is_of_use(&self, link: &Link) -> bool {
        match link.peek() {
            None => true,
            Some(Ok(sender)) => !sender.is_closed(),
            Some(Err(failure)) => failure.at.elapsed() < self.target.options.pause_after_failure,
        }
    }

    fn is_connected(&self) -> bool {
        let link = self.link.lock();
        let outcome = link.as_ref().and_then(Shared::peek);
        matches!(outcome, Some(Ok(sender)) if !sender.is_closed())
    }
}

const USER_AGENT: &str = concat!("buzonera/", env!("CARGO_PKG_VERSION"));

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.target())
            .field("connected", &self.is_connected())
            .finish()
    }
}
