//! What is answered before the store is this cluster's.

use tonic::{Request, Status};

use crate::claim::Claim;
use crate::contact;

/// Of `Operator`: how an empty store becomes a cluster's, and how this replica is.
const ALWAYS: [&str; 2] = [
    "/buzonera.v1.Operator/Bootstrap",
    "/buzonera.v1.Operator/Status",
];

/// Lets calls pass once the store is ours, and those two before. An interceptor of every service, so
/// that no handler can forget it: what it refuses goes to another replica.
pub(crate) fn gate(claim: Claim) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| {
        if !ALWAYS.contains(&kit::rpc::method(&request)) {
            claim.check().map_err(contact::refused)?;
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_always_answered_is_served() {
        let served = kit::frame::access::TABLE;
        for method in ALWAYS {
            assert!(served.iter().any(|(name, _)| *name == method), "{method}");
        }
    }
}
