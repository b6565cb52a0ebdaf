//! Makes a shard what its MailboxShard says, one step a look; the table is in [`super::decide`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crds::{MailCluster, MailboxShard};
use kit::rpc::Channel;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use plan::{Balance, Load, Standing};
use wire::rpc::{ShardInfo, ShardState};

use super::decide::{Act, Room, Wish, decide};
use super::{Shard, build};
use crate::cluster::reconcile::{Failed, is_paused, pinned};
use crate::cluster::{Cluster, validate};
use crate::context::{Ctx, Shared};
use crate::directory::{self, AllocateError, View};
use crate::names::{ClusterName, labels};
use crate::objects::Kind;
use crate::root::{self, Root};
use crate::status::NUMBERS;

mod adopt;
mod apply;
mod live;
mod remove;
mod report;
mod wanted;

use report::Word;
use wanted::Wanted;

/// Until its cluster's directory was looked at for the first time.
const LOOKING: Duration = Duration::from_secs(1);

/// While accounts leave it.
const LEAVING: Duration = Duration::from_secs(5);

/// While it does not serve.
const AWAY: Duration = Duration::from_secs(10);

/// While nothing is awaited.
const QUIET: Duration = Duration::from_secs(600);

/// One look.
pub(crate) async fn reconcile(object: Arc<MailboxShard>, ctx: Shared) -> Result<Action, Failed> {
    let began = Instant::now();
    let done = look(&object, &ctx).await;
    let kind = Kind::MailboxShard.as_str();
    ctx.metrics.looked(kind, began.elapsed(), done.is_ok());
    done
}

/// What a look at a shard knows.
pub(super) struct Look<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) object: &'a MailboxShard,
    pub(super) owner: &'a MailCluster,
    pub(super) cluster: Cluster,
    pub(super) shard: Shard,
    pub(super) root: Root,
    pub(super) view: Arc<View>,
    /// Nothing is to change but certificates, which end by themselves.
    pub(super) is_paused: bool,
}

async fn look(object: &MailboxShard, ctx: &Ctx) -> Result<Action, Failed> {
    let namespace = object.namespace().unwrap_or_default();
    let Some(owner) = owner(ctx, object, &namespace) else {
        // Its cluster is gone or going: nothing drains, and the volume stays.
        if object.metadata.deletion_timestamp.is_none() {
            return Ok(Action::await_change());
        }
        if live::has_cluster(ctx, object).await? {
            return Ok(Action::requeue(AWAY));
        }
        remove::let_go(ctx, object).await?;
        return Ok(Action::await_change());
    };
    let Ok(name) = object.spec.cluster_name.parse::<ClusterName>() else {
        return Ok(Action::await_change());
    };
    let pinned = pinned(ctx, &name, &namespace);
    // What is wrong with the cluster's own spec, the cluster says.
    let Ok(cluster) = validate(&owner, &ctx.operator, pinned.as_ref()) else {
        return Ok(Action::await_change());
    };
    let shard = match Shard::of(object, &cluster) {
        Ok(shard) => shard,
        Err(invalid) => return report::invalid(ctx, object, &invalid).await,
    };
    let is_paused = is_paused(&*owner);
    if !is_paused && adopt::adopt(ctx, object, &cluster).await? {
        return Ok(Action::requeue(Duration::from_millis(100)));
    }
    let Some(root) = root::followed(&ctx.cache, &name, &namespace) else {
        return Ok(Action::requeue(AWAY));
    };
    let Some(view) = ctx.directories.seen(&(namespace, name)) else {
        return Ok(Action::requeue(LOOKING));
    };
    let look = Look {
        ctx,
        object,
        owner: &owner,
        cluster,
        shard,
        root,
        view,
        is_paused,
    };
    look.go_on().await
}

/// The MailCluster, if it is there and stays.
fn owner(ctx: &Ctx, object: &MailboxShard, namespace: &str) -> Option<Arc<MailCluster>> {
    let found = ctx.clusters.find(|cluster| {
        cluster.name_any() == object.spec.cluster_name
            && cluster.namespace().as_deref() == Some(namespace)
    })?;
    found.metadata.deletion_timestamp.is_none().then_some(found)
}

impl Look<'_> {
    async fn go_on(&self) -> Result<Action, Failed> {
        let name = self.object.name_any();
        let info = self.view.shard(&name);
        let wish = self.wish();
        // Without a word from the directory every row of the table is: wait.
        let act = match &self.view.shards {
            Some(_) if !self.view.stale && !self.is_paused => decide(wish, info, self.room(wish)),
            Some(_) | None => Act::Keep,
        };
        if act.is_step() && live::act(self, info).await? != Some(act) {
            // What was followed is old: the watch will tell.
            return Ok(Action::requeue(AWAY));
        }
        let mut word = Word::default();
        let is_done = !self.is_paused && self.act(act, info, &mut word).await?;
        if is_done {
            return Ok(Action::requeue(Duration::from_secs(1)));
        }
        if self.is_there(info, act) {
            apply::apply(self, &mut word).await?;
        }
        let waits = report::report(self, wish, info, act, &word).await?;
        let due = word
            .next_due
            .map(|due| due.duration_since(SystemTime::now()));
        let due = due.map_or(QUIET, |left| left.unwrap_or_default().max(LOOKING));
        Ok(Action::requeue(match (act, info) {
            (Act::Wait(_) | Act::Remove, _) => LEAVING,
            (_, Some(info)) if info.serving && word.failed.is_empty() => match waits {
                true => NUMBERS.min(due),
                false => QUIET.min(due),
            },
            (_, Some(_) | None) => AWAY,
        }))
    }

    /// What it is to be: by its own object, and by how many are wanted.
    fn wish(&self) -> Wish {
        let (namespace, cluster) = (&self.cluster.namespace, &self.cluster.name);
        let ours = labels::of_counted_shard(cluster);
        let found = self.ctx.cache.found(Kind::MailboxShard, namespace, &ours);
        let wanted = Wanted {
            object: self.object,
            shard: &self.shard,
            cluster: &self.cluster,
        };
        wanted.wish(&self.view, found.iter().map(|object| &**object))
    }

    /// Whether what is on it has room elsewhere, by what shards told last; who stays needs none.
    fn room(&self, wish: Wish) -> Room {
        match wish {
            Wish::Active | Wish::Cordoned | Wish::Stopped => return Room::Enough,
            Wish::Drained | Wish::Leaving => {}
        }
        let name = self.object.name_any();
        let told = self.view.shards.iter().flatten();
        let loads = told.filter_map(|shard| Load::told(shard).ok().flatten());
        let loads: Vec<_> = loads
            .map(|load| match load.shard.as_str() == name {
                true => Load {
                    standing: Standing::Leaving,
                    ..load
                },
                false => load,
            })
            .collect();
        match Balance::of(&loads, &[]).capacity().suffices() {
            true => Room::Enough,
            false => Room::Short,
        }
    }

    /// Its objects are made once the directory knows it, and until it has left.
    fn is_there(&self, info: Option<&ShardInfo>, act: Act) -> bool {
        let known = self.view.shards.is_none() || info.is_some();
        match act {
            Act::Remove | Act::LetGo | Act::Allocate | Act::Never => false,
            Act::Keep | Act::Set(_) | Act::Wait(_) => known && self.root.record.bootstrapped,
        }
    }

    /// True: something was changed, and the next look decides anew.
    async fn act(
        &self,
        act: Act,
        info: Option<&ShardInfo>,
        word: &mut Word,
    ) -> Result<bool, Failed> {
        match act {
            Act::Keep | Act::Wait(_) | Act::Never => self.weigh(info, word).await,
            Act::Allocate => self.allocate(word).await,
            Act::Set(state) => self.set(info, Some(state), None, word).await,
            Act::Remove => remove::remove(self).await,
            Act::LetGo => {
                let is_going = self.object.metadata.deletion_timestamp.is_some();
                if is_going {
                    remove::let_go(self.ctx, self.object).await?;
                }
                Ok(is_going)
            }
        }
    }

    async fn allocate(&self, word: &mut Word) -> Result<bool, Failed> {
        let Some(channel) = &self.view.channel else {
            return Ok(false);
        };
        let (prefix, ordinal) = (self.cluster.name.as_str(), Some(self.shard.ordinal));
        let request = wire::ids::RequestId::random();
        let made = directory::allocate(channel, prefix, ordinal, self.shard.weight, request).await;
        match made {
            Ok(_) => {
                let note = format!("{} was made", self.object.name_any());
                self.ctx.event(self.object, "ShardAllocated", note).await;
                Ok(true)
            }
            Err(AllocateError::Used { next }) => {
                word.used = Some(next);
                Ok(false)
            }
            Err(error @ AllocateError::Call(_)) => {
                word.failed.push(error.to_string());
                Ok(false)
            }
        }
    }

    /// The weight, where the directory has another one.
    async fn weigh(&self, info: Option<&ShardInfo>, word: &mut Word) -> Result<bool, Failed> {
        let weight = self.shard.weight.unwrap_or(0);
        let differs = info.is_some_and(|info| info.weight != weight);
        match differs && !self.view.stale {
            true => self.set(info, None, Some(weight), word).await,
            false => Ok(false),
        }
    }

    async fn set(
        &self,
        info: Option<&ShardInfo>,
        state: Option<ShardState>,
        weight: Option<u32>,
        word: &mut Word,
    ) -> Result<bool, Failed> {
        let (Some(info), Some(channel)) = (info, &self.view.channel) else {
            return Ok(false);
        };
        let set = set_shard(channel, info, state, weight).await;
        if let Err(status) = set {
            word.failed.push(format!("directory: {}", status.message()));
            return Ok(false);
        }
        if let Some((reason, note)) = report::of_change(info, state) {
            self.ctx.event(self.object, reason, note).await;
        }
        Ok(true)
    }

    pub(super) fn built(
        &self,
        identity: Option<&crate::objects::Files>,
    ) -> Result<crate::objects::Prepared, Failed> {
        let owner = crate::cluster::reconcile::owner(self.owner, &self.cluster);
        Ok(build::build(&self.cluster, &self.shard, &owner, identity)?)
    }
}

async fn set_shard(
    channel: &Channel,
    info: &ShardInfo,
    state: Option<ShardState>,
    weight: Option<u32>,
) -> Result<(), tonic::Status> {
    let request = wire::rpc::SetShardRequest {
        request_id: wire::ids::RequestId::random().to_field(),
        name: info.name.clone(),
        generation: info.generation,
        state: state.map(Into::into),
        weight,
    };
    directory::operator(channel)
        .set_shard(request)
        .await
        .map(drop)
}
