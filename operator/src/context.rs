//! What every look at an object is given.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use wire::rpc::MoveLimits;

use crate::apply::{Applied, Applier};
use crate::cache::Cache;
use crate::cluster::validate::Operator;
use crate::directory::{Directories, Of, Pods};
use crate::identities::Lifetimes;
use crate::metrics::Metrics;
use crate::names::OPERATOR;
use crate::objects::{Key, Object};
use crate::rebalance::Rebalancers;
use crate::rollout;

/// The parts of one operator in one watched namespace, or in all.
pub(crate) struct Ctx {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    pub(crate) clusters: Store<crds::MailCluster>,
    pub(crate) applier: Applier,
    pub(crate) directories: Directories,
    pub(crate) rebalancers: Rebalancers,
    pub(crate) metrics: Metrics,
    pub(crate) operator: Operator,
    pub(crate) lifetimes: Lifetimes,
    /// What each directory was told by this process.
    pub(crate) told: Mutex<HashMap<Of, Told>>,
    /// The spec of each cluster that its shards were last woken for.
    pub(crate) specs: Mutex<HashMap<Of, Spec>>,
    /// Since when each cluster's rollout is as it is.
    pub(crate) rollouts: Mutex<HashMap<Of, rollout::Times>>,
    /// How long a rollout may not come on.
    pub(crate) progress_deadline: Duration,
    /// How long after a pod should have ended its node is called lost.
    pub(crate) lost_after: Duration,
    /// When the status of an object was written last.
    /// By kind, namespace and name.
    pub(crate) statuses: Mutex<HashMap<(String, String, String), Instant>>,
    recorder: Recorder,
}

/// What an operator's settings say of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) lifetimes: Lifetimes,
    /// How long shards have to be uneven before anything moves.
    pub(crate) rebalance_after: Duration,
    /// How long a rollout may not come on.
    pub(crate) progress_deadline: Duration,
    /// How long after a pod should have ended its node is called lost.
    pub(crate) lost_after: Duration,
}

/// Which spec of a cluster: its generation, and whether it is paused.
pub(crate) type Spec = (Option<i64>, bool);

/// What a directory was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) domains: BTreeSet<String>,
    pub(crate) limits: Option<MoveLimits>,
}

impl Ctx {
    pub(crate) fn new(
        client: Client,
        (cache, clusters): (Cache, Store<crds::MailCluster>),
        metrics: Metrics,
        operator: Operator,
        times: Times,
        news: mpsc::UnboundedSender<Of>,
    ) -> Self {
        let reporter = Reporter {
            controller: OPERATOR.to_owned(),
            instance: None,
        };
        let directories = Directories::new(Pods(cache.clone()), news);
        Self {
            rebalancers: Rebalancers::new(directories.clone(), times.rebalance_after),
            lifetimes: times.lifetimes,
            progress_deadline: times.progress_deadline,
            lost_after: times.lost_after,
            specs: Mutex::default(),
            rollouts: Mutex::default(),
            directories,
            applier: Applier::new(client.clone(), cache.clone(), metrics.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            cache,
            clusters,
            client,
            metrics,
            operator,
            told: Mutex::default(),
            statuses: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Tells people of something that happened; that they are not told stops nothing.
    pub(crate) async fn event<K>(&self, about: &K, reason: &'static str, note: impl Into<String>)
    where
        K: kube::Resource<DynamicType = ()>,
    {
        self.publish(about, EventType::Normal, reason, note.into())
            .await;
    }

    /// Likewise, of something that somebody should look at.
    pub(crate) async fn warning<K>(&self, about: &K, reason: &'static str, note: impl Into<String>)
    where
        K: kube::Resource<DynamicType = ()>,
    {
        self.publish(about, EventType::Warning, reason, note.into())
            .await;
    }

    /// Tells people of what somebody else did to an object of ours.
    pub(crate) async fn tell_applied<K>(&self, about: &K, wanted: &Object, applied: Applied)
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let object = wanted.key();
        match applied {
            Applied::Same | Applied::Made | Applied::Left | Applied::Overtaken => {}
            Applied::Written(path) => tracing::info!(%object, %path, "changed"),
            Applied::Repaired(path) => {
                let note = format!("{object}: {path} was changed by somebody else");
                self.event(about, "DriftRepaired", note).await;
            }
            Applied::GivenUp { path, by } => {
                let note = format!(
                    "{object}: {by} changes {path} again and again; it is left alone for an hour"
                );
                self.warning(about, "DriftGivenUp", note).await;
            }
        }
    }

    /// Tells people that certificates of a Secret were made anew.
    pub(crate) async fn tell_renewed<K>(&self, about: &K, secret: &Key, certificates: &[String])
    where
        K: kube::Resource<DynamicType = ()>,
    {
        if !certificates.is_empty() {
            let note = format!("{secret}: {} made anew", certificates.join(", "));
            self.event(about, "CertificateRenewed", note).await;
        }
    }

    async fn publish<K>(&self, about: &K, type_: EventType, reason: &str, note: String)
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: reason.to_owned(),
            secondary: None,
        };
        let published = self.recorder.publish(&event, &about.object_ref(&())).await;
        if let Err(error) = published {
            tracing::warn!(%error, reason, "an Event was not written");
        }
    }
}

/// The context, shared.
pub(crate) type Shared = Arc<Ctx>;
