//! Volumes: made once, made larger, never made again.
//!
//! A claim is noted in the record before it is created and after: one that is noted as made and is
//! not there is lost, and a new, empty one in its place would say that nobody ever had mail.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, Patch};
use serde_json::json;

use super::report::Outcome;
use crate::apply::merged_by_us;
use crate::cluster::Cluster;
use crate::cluster::size::Size;
use crate::context::Ctx;
use crate::metrics::Verb;
use crate::objects::{Kind, Object};
use crate::root::{Root, VolumeMade, change};

/// Makes those that lack, and says which are lost.
pub(super) async fn ensure(
    ctx: &Ctx,
    cluster: &Cluster,
    root: &mut Root,
    claims: &[Object],
    outcome: &mut Outcome,
) {
    let (mut found, mut new) = (Vec::new(), Vec::new());
    for claim in claims {
        let is_made = root.record.volumes.get(claim.name()) == Some(&VolumeMade::Made);
        match outcome.note(is_there(ctx, claim).await) {
            Some(true) => found.push(claim),
            Some(false) if is_made => outcome.lost.push(claim.name().to_owned()),
            Some(false) => new.push(claim),
            // Nobody knows now.
            None => {}
        }
    }
    for claim in &found {
        outcome.note(grow(ctx, claim).await);
    }
    if !note(ctx, cluster, root, &new, VolumeMade::Planned, outcome).await {
        return;
    }
    let mut made = found;
    for claim in new {
        // One that is there already is the one that was planned.
        if outcome
            .note_applied(ctx.applier.create(claim).await)
            .is_some()
        {
            made.push(claim);
        }
    }
    note(ctx, cluster, root, &made, VolumeMade::Made, outcome).await;
}

/// One that was not seen is asked for: it may have been made a moment ago, by another operator.
async fn is_there(ctx: &Ctx, claim: &Object) -> Result<bool, kube::Error> {
    let key = claim.key();
    if ctx.cache.get(&key).is_some() {
        return Ok(true);
    }
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &key.namespace);
    Ok(api.get_metadata_opt(&key.name).await?.is_some())
}

/// One write for all of them; false: it was not noted.
async fn note(
    ctx: &Ctx,
    cluster: &Cluster,
    root: &mut Root,
    claims: &[&Object],
    made: VolumeMade,
    outcome: &mut Outcome,
) -> bool {
    let whose = (&cluster.name, cluster.namespace.as_str());
    let changed = change(&ctx.client, &ctx.metrics, whose, root, |record| {
        for claim in claims {
            let noted = record
                .volumes
                .entry(claim.name().to_owned())
                .or_insert(made);
            if made == VolumeMade::Made {
                *noted = made;
            }
        }
    });
    outcome.note(changed.await).is_some()
}

/// Asks for a larger volume where the spec does; a smaller one is never asked for, since volumes do
/// not shrink. Whether the class can is its own word: the API server's refusal is told.
async fn grow(ctx: &Ctx, claim: &Object) -> Result<(), kube::Error> {
    let Some(live) = ctx.cache.read::<PersistentVolumeClaim>(&claim.key()) else {
        return Ok(());
    };
    let size = "/spec/resources/requests/storage";
    let wanted = claim.value().pointer(size).and_then(|size| size.as_str());
    let requests = live.spec.and_then(|spec| spec.resources?.requests);
    let live = requests.and_then(|requests| Some(requests.get("storage")?.0.clone()));
    let octets = |text: &str| text.parse::<Size>().ok().map(|size| size.octets());
    let (Some(wanted), Some(live)) = (wanted, live) else {
        return Ok(());
    };
    if octets(wanted) <= octets(&live) {
        return Ok(());
    }
    let key = claim.key();
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let patch = json!({"spec": {"resources": {"requests": {"storage": wanted}}}});
    ctx.metrics
        .wrote(Kind::PersistentVolumeClaim.as_str(), Verb::Apply);
    api.patch(&key.name, &merged_by_us(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
