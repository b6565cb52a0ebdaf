//! An mx, asked at its pod's address.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kit::services::spool_admin_client::SpoolAdminClient;
use tonic::{Response, Status};
use wire::identity::{Identity, Tier as Of};
use wire::rpc::{SpoolCordonRequest, SpoolStatus, SpoolStatusRequest};

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::directory::{Caller, NoCaller};
use crate::names::labels::{self, Instance};
use crate::names::{Port, Tier};
use crate::objects::Kind;

/// How its door is, and what it holds; none: nobody is there, or it does not answer.
pub(crate) async fn told(
    cache: &Cache,
    cluster: &Cluster,
    caller: &Caller,
    ordinal: u32,
) -> Result<Option<SpoolStatus>, NoCaller> {
    let Some(mut client) = client(cache, cluster, caller, ordinal)? else {
        return Ok(None);
    };
    Ok(answer(client.status(SpoolStatusRequest {}).await))
}

/// Shuts or opens its door; how it is then.
pub(crate) async fn shut(
    cache: &Cache,
    cluster: &Cluster,
    caller: &Caller,
    (ordinal, on): (u32, bool),
) -> Result<Option<SpoolStatus>, NoCaller> {
    let Some(mut client) = client(cache, cluster, caller, ordinal)? else {
        return Ok(None);
    };
    Ok(answer(client.cordon(SpoolCordonRequest { on }).await))
}

fn answer(answered: Result<Response<SpoolStatus>, Status>) -> Option<SpoolStatus> {
    answered
        .inspect_err(|status| tracing::debug!(%status, "an mx does not answer"))
        .ok()
        .map(Response::into_inner)
}

fn client(
    cache: &Cache,
    cluster: &Cluster,
    caller: &Caller,
    ordinal: u32,
) -> Result<Option<SpoolAdminClient<kit::rpc::Channel>>, NoCaller> {
    let Some(address) = address(cache, cluster, ordinal) else {
        return Ok(None);
    };
    let instance = cluster.name.mx(ordinal);
    let expect = Identity::new(caller.cluster(), Of::Mx, &instance)?;
    let there = SocketAddr::new(address, Port::MxRpc.number());
    Ok(Some(SpoolAdminClient::new(caller.to(there, &expect)?)))
}

/// Its pod's; one that is going does not count.
fn address(cache: &Cache, cluster: &Cluster, ordinal: u32) -> Option<IpAddr> {
    let selector = labels::selector(&cluster.name, Tier::Mx, Instance::Ordinal(ordinal));
    let pods: Vec<Pod> = cache.list(Kind::Pod, &cluster.namespace, &selector);
    let mut staying = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let address = staying.find_map(|pod| pod.status.as_ref()?.pod_ip.as_ref());
    address?.parse().ok()
}
