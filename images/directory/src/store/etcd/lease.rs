//! Leases.

use std::time::Duration;

use futures::stream;
use tonic::{Response, Status};

use super::convert::Prefix;
use super::endpoints::{Endpoints, with_leader};
use super::load;
use super::proto::lease_client::LeaseClient;
use super::proto::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
};
use crate::store::{Error, LeaseId};

/// A grant whose answer was lost ends by itself, so it can be asked for again.
pub(super) async fn grant(endpoints: &Endpoints, ttl: Duration) -> Result<LeaseId, Error> {
    let seconds = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
    let call = |channel| async move {
        let request = with_leader(LeaseGrantRequest { ttl: seconds });
        LeaseClient::new(channel).lease_grant(request).await
    };
    let reply = endpoints
        .read(endpoints.options().attempt_timeout, call)
        .await?;
    Ok(LeaseId(reply.id))
}

/// A stream of one request and one answer, and beside it a linearizable read that proves it: a leader
/// that is cut off prolongs leases too, until it notices. When the read is of the same term, that
/// leader led after this began; and whoever leads later starts each lease anew. (Not one after the
/// other: where a disk is slow, each waits for all that is written.)
pub(super) async fn keep_alive(
    endpoints: &Endpoints,
    prefix: &Prefix,
    lease: LeaseId,
) -> Result<Duration, Error> {
    let call = |channel| async move {
        let once = stream::iter([LeaseKeepAliveRequest { id: lease.0 }]);
        let mut client = LeaseClient::new(channel);
        let mut replies = client
            .lease_keep_alive(with_leader(once))
            .await?
            .into_inner();
        let reply: Option<LeaseKeepAliveResponse> = replies.message().await?;
        let ended = || Status::unavailable("etcd ended the stream");
        reply.map(Response::new).ok_or_else(ended)
    };
    let (reply, head) = tokio::join!(
        endpoints.read(endpoints.options().attempt_timeout, call),
        load::head(endpoints, prefix)
    );
    let reply = reply?;
    let ttl = match u64::try_from(reply.ttl) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => return Err(Error::LeaseGone),
    };
    let head = head?;
    match reply.header.is_some_and(|kept| kept.raft_term == head.term) {
        true => Ok(ttl),
        false => Err(Error::Unavailable(
            "etcd elected another leader meanwhile".to_owned(),
        )),
    }
}

pub(super) async fn revoke(endpoints: &Endpoints, lease: LeaseId) -> Result<(), Error> {
    let call = |channel| async move {
        let request = with_leader(LeaseRevokeRequest { id: lease.0 });
        LeaseClient::new(channel).lease_revoke(request).await
    };
    match endpoints
        .read(endpoints.options().attempt_timeout, call)
        .await
    {
        Ok(_) | Err(Error::LeaseGone) => Ok(()),
        Err(error) => Err(error),
    }
}
