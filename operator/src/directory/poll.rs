//! A look at each cluster's directory every few seconds, by a task of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kit::rpc::Channel;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wire::ids::ClusterId;
use wire::rpc::{ListRequest, ReplicaState, ReplicaStatus, ShardInfo, StatusRequest};

use super::{Caller, NoCaller, Replica, View, operator};
use crate::cache::Cache;
use crate::names::labels::{self, Instance};
use crate::names::{ClusterName, Tier};
use crate::objects::Kind;
use crate::root::Root;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// While something is awaited.
const SOON: Duration = Duration::from_secs(1);

/// Which cluster.
pub(crate) type Of = (String, ClusterName);

/// Every cluster's last look. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directories {
    pods: Pods,
    polls: Arc<Mutex<HashMap<Of, Poll>>>,
    news: mpsc::UnboundedSender<Of>,
}

/// Where replicas are.
#[derive(Clone)]
pub(crate) struct Pods(pub(crate) Cache);

struct Poll {
    cluster: ClusterId,
    /// None: it was not looked at yet.
    view: watch::Receiver<Option<Arc<View>>>,
    task: JoinHandle<()>,
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Directories {
    /// Whatever is new is told to `news`; nobody waits for its reader, since one word a cluster and
    /// second is all that comes.
    pub(crate) fn new(pods: Pods, news: mpsc::UnboundedSender<Of>) -> Self {
        Self {
            pods,
            polls: Arc::default(),
            news,
        }
    }

    /// The last look; the first call begins to look, and has none yet.
    pub(crate) fn view(&self, of: &Of, root: &Root) -> Result<Option<Arc<View>>, NoCaller> {
        let mut polls = self.polls.lock();
        if let Some(poll) = polls.get(of)
            && poll.cluster == root.id
            && !poll.task.is_finished()
        {
            return Ok(poll.view.borrow().clone());
        }
        let caller = Caller::new(root, SystemTime::now())?;
        let before = polls.get(of).and_then(|poll| poll.view.borrow().clone());
        let (told, view) = watch::channel(before.clone());
        let (pods, news) = (self.pods.clone(), self.news.clone());
        let poll = Poll {
            cluster: root.id,
            view,
            task: tokio::spawn(look(caller, of.clone(), pods, told, news)),
        };
        polls.insert(of.clone(), poll);
        Ok(before)
    }

    /// The last look of a cluster that is looked at.
    pub(crate) fn seen(&self, of: &Of) -> Option<Arc<View>> {
        let polls = self.polls.lock();
        polls.get(of).and_then(|poll| poll.view.borrow().clone())
    }

    /// Says that there is something new about a cluster.
    pub(crate) fn tell(&self, of: &Of) {
        // Without a reader the operator is ending.
        let _ = self.news.send(of.clone());
    }

    /// Ends looking.
    pub(crate) fn forget(&self, of: &Of) {
        self.polls.lock().remove(of);
    }
}

/// Until the caller's certificate is old: whoever asks next begins anew with another.
async fn look(
    caller: Caller,
    of: Of,
    pods: Pods,
    told: watch::Sender<Option<Arc<View>>>,
    news: mpsc::UnboundedSender<Of>,
) {
    let mut channels: BTreeMap<Replica, Channel> = BTreeMap::new();
    while !caller.is_old(SystemTime::now()) {
        let replicas = pods.replicas(&of);
        channels.retain(|replica, _| replicas.contains(replica));
        for replica in replicas {
            if let Ok(channel) = caller.channel(&replica) {
                channels.entry(replica).or_insert(channel);
            }
        }
        let view = one_look(&channels).await;
        let is_news = told
            .borrow()
            .as_ref()
            .is_none_or(|last| !last.says_the_same(&view));
        let pause = match view.shards {
            Some(_) if !is_news => EVERY,
            Some(_) | None => SOON,
        };
        told.send_replace(Some(Arc::new(view)));
        if is_news {
            // Without a reader the operator is ending.
            let _ = news.send(of.clone());
        }
        sleep(pause).await;
    }
    tracing::debug!(cluster = %caller.cluster(), "the certificate for calls is made anew");
}

async fn one_look(channels: &BTreeMap<Replica, Channel>) -> View {
    let asked = channels.iter().map(|(replica, channel)| async move {
        let status = operator(channel).status(StatusRequest {}).await;
        (replica.instance.clone(), channel, status.ok())
    });
    let mut view = View::default();
    let mut serving = None;
    for (instance, channel, status) in join_all(asked).await {
        let status = status.map(tonic::Response::into_inner);
        let state = status.as_ref().map(ReplicaStatus::state);
        match state {
            Some(ReplicaState::Serving) => serving = Some(channel),
            Some(ReplicaState::Empty) => view.channel = Some(channel.clone()),
            Some(_) | None => {}
        }
        view.replicas.insert(instance, status);
    }
    if let Some(channel) = serving {
        view.channel = Some(channel.clone());
        if let Some((shards, stale)) = all_shards(channel).await {
            (view.shards, view.stale) = (Some(shards), stale);
        }
    }
    view
}

/// Every shard, and whether the list may be old; none: the directory does not tell.
pub(crate) async fn all_shards(channel: &Channel) -> Option<(Vec<ShardInfo>, bool)> {
    let (mut shards, mut stale): (Vec<ShardInfo>, _) = (Vec::new(), false);
    loop {
        let request = ListRequest {
            after: shards
                .last()
                .map(|last| last.name.clone())
                .unwrap_or_default(),
            ..ListRequest::default()
        };
        let page = operator(channel)
            .list_shards(request)
            .await
            .ok()?
            .into_inner();
        stale |= page.stale;
        let is_last = !page.more || page.shards.is_empty();
        shards.extend(page.shards);
        if is_last {
            return Some((shards, stale));
        }
    }
}

impl Pods {
    fn replicas(&self, (namespace, name): &Of) -> Vec<Replica> {
        let selector = labels::selector(name, Tier::Directory, Instance::All);
        let pods: Vec<Pod> = self.0.list(Kind::Pod, namespace, &selector);
        let replica = |pod: &Pod| {
            let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
            Some(Replica {
                instance: pod.name_any(),
                address,
            })
        };
        pods.iter().filter_map(replica).collect()
    }
}
