//! A shard's Secret and StatefulSet; its volume is made with those of the whole cluster. The template
//! of a StatefulSet that is there is left as it is: whose turn it is to restart the look at the
//! cluster decides, and applies it.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::Secret;

use super::Look;
use super::report::Word;
use crate::apply::template;
use crate::cluster::reconcile::Failed;
use crate::identities;
use crate::names::SecretOf;
use crate::objects::{Files, Key, Kind};

pub(super) async fn apply(look: &Look<'_>, word: &mut Word) -> Result<(), Failed> {
    let whose = SecretOf::Shard(look.shard.ordinal);
    let name = whose.name(&look.cluster.name);
    let key = Key::new(Kind::Secret, &look.cluster.namespace, name);
    let found = look.ctx.cache.read::<Secret>(&key);
    let found = found.map(identities::data).unwrap_or_default();
    let (lifetimes, now) = (look.ctx.lifetimes, SystemTime::now());
    let files = identities::folder(&whose, &look.cluster, 0, &look.root, &found, lifetimes, now);
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            word.failed.push(error.to_string());
            return Ok(());
        }
    };
    word.next_due = identities::next_due(&whose, &look.cluster, &files, lifetimes);
    let renewed = identities::renewed(&found, &files);
    let objects = look.built(Some(&Files(files)))?.objects.into_iter();
    for wanted in objects.filter(|it| !look.is_paused || it.kind() == Kind::Secret) {
        let live = look.ctx.cache.get(&wanted.key());
        let wanted = match (wanted.kind(), live) {
            (Kind::StatefulSet, Some(live)) => {
                word.is_current = Some(template::differs(&wanted, &live).is_none());
                template::keep(wanted, &live)
            }
            (_, _) => wanted,
        };
        match look.ctx.applier.apply(&wanted).await {
            Ok(applied) => {
                if wanted.key() == key && applied.is_written() {
                    look.ctx.tell_renewed(look.object, &key, &renewed).await;
                }
                look.ctx.tell_applied(look.object, &wanted, applied).await;
            }
            Err(error) => word.failed.push(error.to_string()),
        }
    }
    Ok(())
}
