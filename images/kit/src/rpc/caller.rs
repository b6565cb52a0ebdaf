//! Who called, and what.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use wire::identity::Identity;

/// The other end of a connection, as its certificate says; an extension of every request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub identity: Arc<Identity>,
    /// From where.
    pub address: SocketAddr,
}

/// The method that a request is for; an extension of every request.
#[derive(Debug, Clone)]
pub(super) struct Method(pub(super) PathAndQuery);

/// Who sent this request. Fails only where a handler runs outside [`super::server::serve`].
pub fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    Ok(Identity::clone(&peer(request)?.identity))
}

/// Who sent this request, and from where.
pub fn peer<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request
        .extensions()
        .get()
        .ok_or_else(|| Status::unauthenticated("this connection has no client certificate"))
}

/// The request's method in gRPC's form, `/buzonera.v1.Registry/AcquireLease`.
pub fn method<T>(request: &Request<T>) -> &str {
    let method = request.extensions().get::<Method>();
    method.map_or("an unknown method", |method| method.0.path())
}
