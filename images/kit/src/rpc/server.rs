//! Serving gRPC: mutual TLS first, then HTTP/2, until the process drains.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;
use tower::util::MapRequestLayer;

use super::caller::Method;
use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::frame::access;
use crate::lifecycle::Shutdown;
use crate::listener::Listener;
use crate::tls::Credentials;

mod accept;
mod connection;

use accept::Handshakes;
use connection::Connection;

/// How an RPC server behaves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// A client that has not shown a certificate after this is cut off.
    pub handshake_timeout: Duration,
    /// Calls at the same time on one connection; further ones wait at the caller.
    pub max_streams: u32,
    /// HTTP/2 pings.
    pub keep_alive_interval: Duration,
    /// A ping unanswered for this long ends the connection.
    pub keep_alive_timeout: Duration,
}

impl Default for ServerOptions {
    /// Handshake: a round trip across the world and a lost packet. Streams: 64 MX sessions times
    /// the recipients they look up. Pings as in the channel.
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            max_streams: 1024,
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
        }
    }
}

/// The server ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
#[error("the RPC server {name} failed: {source}")]
pub struct ServeError {
    name: &'static str,
    source: tonic::transport::Error,
}

/// Serves until `shutdown` closes and the calls under way are done or cut. Every caller has shown a
/// certificate of our cluster, and [`access`] says whether its tier may call what it calls; handlers
/// ask [`super::caller`] who it is. Handlers of endless streams end them on `shutdown.closing()`. For the counters
/// of the port ask the listener before.
pub async fn serve(
    listener: Listener,
    credentials: &Credentials,
    routes: Routes,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    serve_with(
        listener,
        credentials,
        routes,
        ServerOptions::default(),
        shutdown,
    )
    .await
}

/// As [`serve`], with other bounds.
pub async fn serve_with(
    listener: Listener,
    credentials: &Credentials,
    routes: Routes,
    options: ServerOptions,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    let name = listener.name();
    let (ready, connections) = mpsc::channel::<Connection>(HANDED_OVER);
    let handshakes = Handshakes::new(name, credentials, &options, shutdown.clone(), ready);
    let accepting = listener.each(&shutdown, "RPC handshakes", move |accepted| {
        handshakes.clone().one(accepted)
    });
    let incoming = ReceiverStream::new(connections).map(Ok::<_, Infallible>);
    let serving = builder(&options)
        .layer(MapRequestLayer::new(note_method as fn(_) -> _))
        .layer(InterceptorLayer::new(access::check as fn(_) -> _))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.closing());
    let until_cut = async {
        tokio::select! {
            served = serving => served,
            // Connections know it too, and their calls end with them.
            () = shutdown.cut() => Ok(()),
        }
    };
    let accepting = async {
        accepting.await;
        Ok(())
    };
    let served = tokio::try_join!(accepting, until_cut);
    served
        .map(drop)
        .map_err(|source| ServeError { name, source })
}

/// Connections past their handshake that HTTP/2 has not taken over yet; it does so at once.
const HANDED_OVER: usize = 16;

fn builder(options: &ServerOptions) -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(options.max_streams)
        .http2_keepalive_interval(Some(options.keep_alive_interval))
        .http2_keepalive_timeout(Some(options.keep_alive_timeout))
}

/// Handlers are given no path; [`super::method`] reads it here.
fn note_method(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    request.extensions_mut().insert(Method(path));
    request
}
