//! What we made and nobody wants any more goes: the very object that was looked at, and no other of its
//! name.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::{Api, DeleteParams, Preconditions};
use serde::de::DeserializeOwned;

use crate::context::Ctx;
use crate::metrics::Verb;
use crate::objects::Kind;

/// Deletes an object, if it is there. True: it was.
pub(crate) async fn delete<K>(
    ctx: &Ctx,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(ctx.client.clone(), namespace);
    let Some(live) = api.get_opt(name).await? else {
        return Ok(false);
    };
    if live.meta().deletion_timestamp.is_some() {
        return Ok(true);
    }
    ctx.metrics.wrote(kind.as_str(), Verb::Delete);
    let deleted = api.delete(name, &exactly(live.meta().uid.clone())).await;
    unless_gone(deleted.map(drop))?;
    Ok(true)
}

/// The object with this uid, and what it owns in its own time.
pub(crate) fn exactly(uid: Option<String>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::background()
    }
}

/// Whatever is gone needs nothing done to it.
pub(crate) fn unless_gone(done: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done,
    }
}
