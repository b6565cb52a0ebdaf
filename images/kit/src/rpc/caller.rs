//! Who called, and whether it may.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use wire::identity::{Identity, Tier};

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

/// Who sent this request, if its tier is among `allowed`; else PERMISSION_DENIED.
pub fn require<T>(request: &Request<T>, allowed: &[Tier]) -> Result<Identity, Status> {
    let identity = caller(request)?;
    if allowed.contains(&identity.tier()) {
        return Ok(identity);
    }
    let method = method(request);
    tracing::warn!(caller = %identity, method, "call refused: not allowed for this tier");
    Err(Status::permission_denied(format!(
        "{identity} may not call {method}"
    )))
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use wire::ids::ClusterId;

    use super::*;

    fn request_of(tier: Tier) -> Request<()> {
        let identity = Identity::new(ClusterId::random(), tier, "one").unwrap();
        let mut request = Request::new(());
        request.extensions_mut().insert(Caller {
            identity: Arc::new(identity),
            address: "192.0.2.1:1".parse().unwrap(),
        });
        let path = PathAndQuery::from_static("/buzonera.v1.Shard/Deliver");
        request.extensions_mut().insert(Method(path));
        request
    }

    #[test]
    fn only_the_allowed_tiers_pass() {
        let allowed = [Tier::Mx, Tier::Directory];
        for &tier in Tier::ALL {
            let request = request_of(tier);
            match require(&request, &allowed) {
                Ok(identity) => assert!(allowed.contains(&identity.tier())),
                Err(status) => {
                    assert!(!allowed.contains(&tier));
                    assert_eq!(status.code(), Code::PermissionDenied);
                    let identity = caller(&request).unwrap().to_string();
                    assert!(status.message().contains(&identity), "{status}");
                    assert!(status.message().contains("Shard/Deliver"), "{status}");
                }
            }
        }
    }

    #[test]
    fn nobody_is_not_allowed() {
        let status = require(&Request::new(()), Tier::ALL).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
}
