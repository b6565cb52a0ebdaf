//! Runs the controllers: for each watched namespace a set of its own, or one for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{MailCluster, MailboxShard};
use futures::{Stream, StreamExt as _};
use kit::process::Process;
use kube::api::{Api, DynamicObject};
use kube::runtime::controller::{Action, Config as Pace, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc};
use wire::identity::Tier;

use crate::cache::Cache;
use crate::cluster;
use crate::cluster::reconcile::Failed;
use crate::config::Config;
use crate::context::{Ctx, Shared, Times};
use crate::directory::{Of, View};
use crate::identities::Lifetimes;
use crate::metrics::Metrics;
use crate::names::labels;
use crate::objects::Kind;
use crate::pod::release::BadRelease;
use crate::shard;

/// Objects that are looked at at the same time.
const CONCURRENCY: u16 = 8;

/// Changes that come so close together are looked at once.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// Triggers that a slow reader may be behind.
const TRIGGERS: usize = 4096;

/// Why an operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error("cannot reach Kubernetes: {0}")]
    Client(Box<kube::Error>),
    /// Its own release.
    #[error(transparent)]
    Release(#[from] BadRelease),
}

/// Until the process is to end.
pub async fn run(config: Config, process: Process) -> Result<(), Error> {
    let client = Client::try_default().await;
    let client = client.map_err(|error| Error::Client(Box::new(error)))?;
    run_with(client, config, process).await
}

/// With a client that is there already.
pub async fn run_with(client: Client, config: Config, process: Process) -> Result<(), Error> {
    let metrics = Metrics::default();
    process
        .admin
        .metrics
        .register_as(Tier::Operator, "operator", |it| metrics.register(it));
    let operator = config.operator()?;
    let times = Times {
        lifetimes: Lifetimes {
            leaf: config.certificate_lifetime,
        },
        rebalance_after: config.rebalance_after,
        progress_deadline: config.progress_deadline,
        lost_after: config.lost_after,
    };
    let ready = process.admin.readiness.condition("operator".to_owned());
    let mut sets = Vec::new();
    for namespace in config.namespaces() {
        let set = controllers(
            client.clone(),
            namespace,
            (metrics.clone(), operator.clone(), times),
        );
        sets.push(set);
    }
    ready.met();
    let all = futures::future::join_all(sets);
    tokio::select! {
        _ = all => {}
        () = process.shutdown.triggered() => {}
    }
    Ok(())
}

type Parts = (Metrics, crate::cluster::validate::Operator, Times);

async fn controllers(client: Client, namespace: Option<String>, parts: Parts) {
    let (metrics, operator, times) = parts;
    let namespace = namespace.as_deref();
    let (cache, touched) = Cache::follow(&client, namespace);
    let (told, news) = mpsc::unbounded_channel();
    let (triggers, _) = broadcast::channel(TRIGGERS);
    let everything = || watcher::Config::default();
    let clusters = Controller::new(api::<MailCluster>(&client, namespace), everything());
    let shards = Controller::new(api::<MailboxShard>(&client, namespace), everything());
    let ctx = Arc::new(Ctx::new(
        client.clone(),
        (cache.clone(), clusters.store()),
        metrics,
        operator,
        times,
        told,
    ));
    let pace = || Pace::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
    let clusters = clusters
        .with_config(pace())
        .reconcile_on(subscribe(&triggers).filter_map(|touched| async { touched.cluster() }));
    let shards = shards.with_config(pace()).reconcile_on(
        subscribe(&triggers).flat_map(|touched| futures::stream::iter(touched.shards())),
    );
    let errors = Arc::new(Backoff::default());
    let (policy, shard_policy) = (Arc::clone(&errors), errors);
    let known = ctx.clusters.clone();
    let clusters = after(
        cache.is_whole(),
        clusters.run(
            cluster::reconcile::reconcile,
            move |object, error, ctx| policy.again(&*object, error, &ctx),
            Arc::clone(&ctx),
        ),
    );
    let shards = after(
        async {
            cache.is_whole().await;
            // Its writer lives as long as the looks at clusters.
            let _ = known.wait_until_ready().await;
        },
        shards.run(
            shard::reconcile::reconcile,
            move |object, error, ctx| shard_policy.again(&*object, error, &ctx),
            Arc::clone(&ctx),
        ),
    );
    let watched = watched(touched, triggers.clone());
    let told = news_of(news, ctx, triggers);
    tokio::join!(clusters, shards, watched, told);
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Nothing is decided before everything was seen.
async fn after<S: Stream>(seen: impl Future<Output = ()>, looks: S) {
    seen.await;
    let looks = std::pin::pin!(looks);
    looks.for_each(|_| async {}).await;
}

/// Something changed that clusters or shards have to look at.
#[derive(Debug, Clone)]
enum Trigger {
    /// An object of ours.
    Object {
        kind: Kind,
        namespace: String,
        cluster: String,
        shard: Option<String>,
    },
    /// What the directory says of these shards.
    News(Of, Vec<String>),
}

impl Trigger {
    fn cluster(self) -> Option<ObjectRef<MailCluster>> {
        let (namespace, name) = match self {
            Self::Object {
                namespace, cluster, ..
            } => (namespace, cluster),
            Self::News((namespace, name), _) => (namespace, name.to_string()),
        };
        Some(ObjectRef::new(&name).within(&namespace))
    }

    fn shards(self) -> Vec<ObjectRef<MailboxShard>> {
        let of = |namespace: &str, name: &str| ObjectRef::new(name).within(namespace);
        match self {
            // Of MailboxShards their own watch tells.
            Self::Object {
                kind: Kind::MailboxShard,
                ..
            } => Vec::new(),
            Self::Object {
                namespace, shard, ..
            } => shard.iter().map(|shard| of(&namespace, shard)).collect(),
            Self::News((namespace, _), shards) => {
                shards.iter().map(|shard| of(&namespace, shard)).collect()
            }
        }
    }
}

/// A reader that is too far behind has missed some: every object is looked at again in its time.
fn subscribe(
    triggers: &broadcast::Sender<Trigger>,
) -> impl Stream<Item = Trigger> + Send + 'static {
    let receiver = triggers.subscribe();
    futures::stream::unfold(receiver, |mut receiver| async {
        loop {
            match receiver.recv().await {
                Ok(trigger) => return Some((trigger, receiver)),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "more changed at once than was followed");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

async fn watched(
    touched: impl Stream<Item = (Kind, DynamicObject)>,
    triggers: broadcast::Sender<Trigger>,
) {
    let touched = std::pin::pin!(touched);
    touched
        .for_each(|(kind, object)| {
            let label = |name: &str| object.labels().get(name).cloned();
            if let Some(cluster) = label(labels::CLUSTER) {
                // Without a reader the operator is ending.
                let _ = triggers.send(Trigger::Object {
                    kind,
                    namespace: object.namespace().unwrap_or_default(),
                    cluster,
                    shard: label(labels::SHARD),
                });
            }
            async {}
        })
        .await;
}

/// A new word of a directory is looked at by its cluster and by the shards that it is about; a new
/// spec of a cluster by all its shards.
async fn news_of(
    mut news: mpsc::UnboundedReceiver<Of>,
    ctx: Shared,
    triggers: broadcast::Sender<Trigger>,
) {
    let mut before = HashMap::new();
    while let Some(of) = news.recv().await {
        let Some(view) = ctx.directories.seen(&of) else {
            continue;
        };
        let spec = ctx.specs.lock().get(&of).copied();
        let last: Option<(Arc<View>, _)> = before.insert(of.clone(), (Arc::clone(&view), spec));
        let last = last.filter(|(_, last)| *last == spec);
        let shards = view.changed_since(last.as_ref().map(|(view, _)| &**view));
        let _ = triggers.send(Trigger::News(of, shards));
    }
}

/// How soon something that failed is looked at again: after a second, then twice as long each time,
/// a minute at most.
#[derive(Default)]
struct Backoff {
    failures: Mutex<HashMap<String, (u32, std::time::Instant)>>,
}

/// An object that failed so long ago is tried as if it never had.
const FORGIVEN: Duration = Duration::from_secs(300);

impl Backoff {
    fn again<K: kube::Resource<DynamicType = ()>>(
        &self,
        object: &K,
        error: &Failed,
        _: &Shared,
    ) -> Action {
        let name = format!(
            "{} {}/{}",
            K::kind(&()),
            object.namespace().unwrap_or_default(),
            object.name_any()
        );
        tracing::warn!(object = %name, %error, "a look failed; trying again");
        let mut failures = self.failures.lock();
        failures.retain(|_, (_, at)| at.elapsed() < FORGIVEN);
        let (count, at) = failures
            .entry(name)
            .or_insert((0, std::time::Instant::now()));
        *count += 1;
        *at = std::time::Instant::now();
        Action::requeue(Duration::from_secs(1 << (*count - 1).min(6)).min(Duration::from_secs(60)))
    }
}
