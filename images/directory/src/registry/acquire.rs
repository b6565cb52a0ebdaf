//! A starting shard asks for its incarnation.

use std::time::Duration;

use prost::Message;
use tonic::Status;
use wire::ids::{Incarnation, ShardName};
use wire::rpc::acquire_lease_reply::Result as Answer;
use wire::rpc::{AcquireLeaseReply, AcquireLeaseRequest, GoOn, LeaseGranted, LeaseHeld, Volume};

use super::Registry;
use super::records::{ATTEMPTS, Standing, busy, status};
use crate::lease::{Decision, Refusal, decide};
use crate::model::Key;
use crate::model::records::{LeaseRecord, ShardRecord};
use crate::store::{Expect, LeaseId, Txn};

/// A host name of 253 octets (RFC 1035), a colon, a port.
const MAX_ENDPOINT: usize = 259;

/// A UUID; room for machines that name their boots otherwise.
const MAX_BOOT_ID: usize = 64;

/// A machine's name (RFC 1123), or a version.
const MAX_NAME: usize = 253;

/// A lease that is held is asked for again so many times in its life.
const ASKED_AGAIN: u32 = 10;

impl Registry {
    pub(super) async fn acquire(
        &self,
        shard: &ShardName,
        request: &AcquireLeaseRequest,
    ) -> Result<AcquireLeaseReply, Status> {
        check(request)?;
        for _ in 0..ATTEMPTS {
            let standing = self.standing(shard).await?;
            let answer = match decide(self.cluster, shard, &standing.known(), request) {
                Decision::Refused(refusal) => {
                    tracing::warn!(%shard, %refusal, "a shard is refused its lease");
                    match refusal {
                        Refusal::Volume(bad) => Answer::BadVolume(bad.to_string()),
                        Refusal::Foreign(..)
                        | Refusal::Unknown(_)
                        | Refusal::Retired(_)
                        | Refusal::Lost(_) => Answer::Refused(refusal.to_string()),
                    }
                }
                Decision::Held(lease) => Answer::Held(self.held(lease)),
                Decision::GoOn => Answer::GoOn(GoOn {}),
                Decision::Grant {
                    incarnation,
                    replaces,
                } => match self.grant(shard, request, &standing, incarnation).await? {
                    Some(granted) => {
                        if let Some(old) = replaces {
                            self.end(old).await;
                        }
                        Answer::Granted(granted)
                    }
                    None => continue,
                },
            };
            return Ok(AcquireLeaseReply {
                result: Some(answer),
            });
        }
        Err(busy())
    }

    fn held(&self, lease: LeaseRecord) -> LeaseHeld {
        let wait = self.config.ttl / ASKED_AGAIN;
        LeaseHeld {
            retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            incarnation: lease.incarnation,
            boot_id: lease.boot_id,
        }
    }

    /// None: somebody was faster, or nobody knows.
    async fn grant(
        &self,
        shard: &ShardName,
        request: &AcquireLeaseRequest,
        standing: &Standing,
        incarnation: Incarnation,
    ) -> Result<Option<LeaseGranted>, Status> {
        let volume = request.volume.clone().unwrap_or_default();
        let record = ShardRecord {
            incarnation: incarnation.0,
            boot_id: request.boot_id.clone(),
            volume_id: volume.id,
            lock: request.lock,
            rpc_endpoint: request.rpc_endpoint.clone(),
            pop3_endpoint: request.pop3_endpoint.clone(),
            copy_format: request.copy_format,
            release: request.release.clone(),
            node: request.node.clone(),
        };
        // Names the state too: a shard that is being retired meanwhile gets nothing.
        let state = standing.state.as_ref();
        let state = state.map_or(Expect::Present, |found| Expect::At(found.revision));
        let txn = standing
            .unchanged(shard, Txn::new())
            .when(Key::ShardState(shard.clone()).to_string(), state)
            .put(
                Key::Shard(shard.clone()).to_string(),
                record.encode_to_vec(),
            );
        self.lease(shard, &record, txn).await
    }

    /// Puts a new lease of this run by `txn`.
    pub(super) async fn lease(
        &self,
        shard: &ShardName,
        run: &ShardRecord,
        txn: Txn,
    ) -> Result<Option<LeaseGranted>, Status> {
        let lease = self.store.grant(self.config.ttl).await;
        let lease = lease.map_err(|error| status(&error))?;
        let incarnation = Incarnation(run.incarnation);
        let record = LeaseRecord {
            incarnation: run.incarnation,
            boot_id: run.boot_id.clone(),
            volume_id: run.volume_id.clone(),
            lock: run.lock,
            granted_at_ms: kit::clock::unix_ms(),
            store_lease: lease.0,
            serving: false,
        };
        let key = Key::Lease(shard.clone()).to_string();
        let txn = txn
            .put_leased(key, record.encode_to_vec(), lease)
            .delete(Key::Opening(shard.clone()).to_string());
        let committed = self.commit(txn).await;
        if !matches!(committed, Ok(true)) {
            self.end(lease).await;
        }
        Ok(committed?.then(|| self.lease_granted(incarnation, self.config.ttl)))
    }

    /// The store keeps the lease for `kept`; a replica of another release may have asked for less
    /// than this one would.
    pub(super) fn lease_granted(&self, incarnation: Incarnation, kept: Duration) -> LeaseGranted {
        let ttl = self.config.ttl.min(kept);
        LeaseGranted {
            incarnation: incarnation.0,
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            cluster_id: self.cluster.to_string(),
        }
    }

    /// Ends a lease that nobody uses; if that fails, it ends by itself.
    async fn end(&self, lease: LeaseId) {
        if let Err(error) = self.store.revoke(lease).await {
            tracing::debug!(%error, "a lease that is not needed ends by itself");
        }
    }
}

fn check(request: &AcquireLeaseRequest) -> Result<(), Status> {
    if request.boot_id.len() > MAX_BOOT_ID {
        return Err(Status::invalid_argument("boot_id: too long"));
    }
    if let Some(volume) = &request.volume {
        check_id(volume)?;
    }
    for (field, text) in [("release", &request.release), ("node", &request.node)] {
        if text.len() > MAX_NAME {
            return Err(Status::invalid_argument(format!("{field}: too long")));
        }
    }
    let endpoints = [
        ("rpc_endpoint", &request.rpc_endpoint),
        ("pop3_endpoint", &request.pop3_endpoint),
    ];
    for (field, endpoint) in endpoints {
        let port = endpoint
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if endpoint.len() > MAX_ENDPOINT || !matches!(port, Some(Ok(1..))) {
            return Err(Status::invalid_argument(format!(
                "{field}: write HOST:PORT"
            )));
        }
    }
    Ok(())
}

/// An id is a UUID.
pub(super) fn check_id(volume: &Volume) -> Result<(), Status> {
    match volume.id.len() {
        16 => Ok(()),
        _ => Err(Status::invalid_argument("volume.id: write 16 octets")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        let with = |endpoint: &str| AcquireLeaseRequest {
            rpc_endpoint: "127.0.0.1:7501".to_owned(),
            pop3_endpoint: endpoint.to_owned(),
            ..AcquireLeaseRequest::default()
        };
        assert!(check(&with("[::1]:110")).is_ok());
        let long = format!("{}:1", "a".repeat(MAX_ENDPOINT));
        for bad in ["", "host", "host:", "host:0", "host:70000", &long] {
            let status = check(&with(bad)).unwrap_err();
            assert!(status.message().contains("pop3_endpoint"), "{bad}");
        }
    }
}
