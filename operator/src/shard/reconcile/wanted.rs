//! What a shard is to be, by objects that were followed or asked for.

use crds::MailboxShard;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use wire::rpc::ShardState;

use crate::cluster::Cluster;
use crate::directory::View;
use crate::leaving::{Counted, choose};
use crate::shard::Shard;
use crate::shard::decide::Wish;

/// What is decided by.
pub(super) struct Wanted<'a> {
    pub(super) object: &'a MailboxShard,
    pub(super) shard: &'a Shard,
    pub(super) cluster: &'a Cluster,
}

impl Wanted<'_> {
    /// By its own object, and by how many are wanted of all `found` that `spec.shards` counts.
    pub(super) fn wish<'a>(
        &self,
        view: &View,
        found: impl ExactSizeIterator<Item = &'a DynamicObject>,
    ) -> Wish {
        let is_deleted = self.object.metadata.deletion_timestamp.is_some();
        Wish::of(self.shard.mode, is_deleted || self.leaves(view, found))
    }

    /// Whether it is one of those that are too many.
    fn leaves<'a>(
        &self,
        view: &View,
        found: impl ExactSizeIterator<Item = &'a DynamicObject>,
    ) -> bool {
        // Mostly nobody is too many, and then a thousand objects need not be read for each of them.
        let wanted = usize::try_from(self.cluster.shards).unwrap_or(usize::MAX);
        let info = view.shard(&self.object.name_any());
        let has_retired = info.is_some_and(|info| info.state() == ShardState::Retired);
        if found.len() <= wanted && !has_retired {
            return false;
        }
        let counted = found.filter_map(|object| self.counted(view, object));
        let counted: Vec<_> = counted.collect();
        choose(&counted, self.cluster.shards).contains(&self.shard.ordinal)
    }

    fn counted(&self, view: &View, object: &DynamicObject) -> Option<Counted> {
        let name = object.name_any();
        let ordinal = self.cluster.name.shard_ordinal(&name)?;
        let mode = object.data.pointer("/spec/mode").cloned();
        let mode = mode.and_then(|mode| serde_json::from_value(mode).ok());
        let (mode, info) = (mode.unwrap_or_default(), view.shard(&name));
        Some(Counted::new(ordinal, object, mode, info))
    }
}
