//! The root is made once, and changed with the version that it was read in.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::Secret;
use kit::authority::AuthorityError;
use kube::api::{Api, Patch};
use kube::{Client, Error};
use serde_json::json;

use super::{Damaged, RECORD, Record, Root, secret};
use crate::apply::{created_by_us, merged_by_us};
use crate::cache::Cache;
use crate::metrics::{Metrics, Verb};
use crate::names::{ClusterName, labels};
use crate::objects::{Key, Kind};

/// Why there is no root to go on with.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// There are volumes or pods of a cluster whose root is gone.
    #[error(
        "the Secret {root} is gone, and {found} is there: restore {root} from your backup; a new one \
         would make every volume a stranger"
    )]
    Missing {
        /// The Secret's name.
        root: String,
        /// What is there.
        found: String,
    },
    /// It cannot be read.
    #[error("the Secret {root}: {source}; restore it from your backup")]
    Damaged {
        /// The Secret's name.
        root: String,
        /// What is wrong with it.
        source: Damaged,
    },
    /// No CA can be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The API server did not do it.
    #[error("the Secret {root}: {source}")]
    Api {
        /// The Secret's name.
        root: String,
        /// What it said.
        source: Box<Error>,
    },
}

/// The root, as the API server itself has it; none: there is none.
pub async fn find(
    client: &Client,
    (name, namespace): (&ClusterName, &str),
) -> Result<Option<Root>, RootError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.get_opt(&name.root()).await;
    let found = found.map_err(|source| failed(name, source))?;
    found.map(|found| read(name, &found)).transpose()
}

/// Makes the root from `fresh`, if nothing of the cluster is there. None: somebody else has made it
/// meanwhile, maybe from something else.
pub async fn make(
    client: &Client,
    cache: &Cache,
    metrics: &Metrics,
    (name, namespace): (&ClusterName, &str),
    fresh: &Record,
) -> Result<Option<Root>, RootError> {
    let api = |source| failed(name, source);
    if let Some(found) = stranded(cache, name, namespace).await.map_err(api)? {
        let root = name.root();
        return Err(RootError::Missing { root, found });
    }
    let new = secret(name, namespace, fresh, SystemTime::now())?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    metrics.wrote(Kind::Secret.as_str(), Verb::Create);
    match secrets.create(&created_by_us(), &new).await {
        Ok(made) => read(name, &made).map(Some),
        Err(Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(api(error)),
    }
}

/// The root, as far as it was followed: for whoever changes nothing of it.
pub(crate) fn followed(cache: &Cache, name: &ClusterName, namespace: &str) -> Option<Root> {
    let secret = cache.read::<Secret>(&Key::new(Kind::Secret, namespace, name.root()))?;
    Root::read(&secret).ok()
}

/// Changes the record; fails if somebody changed the root since it was read.
pub async fn change(
    client: &Client,
    metrics: &Metrics,
    (name, namespace): (&ClusterName, &str),
    root: &mut Root,
    how: impl FnOnce(&mut Record),
) -> Result<(), RootError> {
    let mut record = root.record.clone();
    how(&mut record);
    if record == root.record {
        return Ok(());
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let patch = json!({
        "metadata": {"resourceVersion": root.version},
        "data": {RECORD: k8s_openapi::ByteString(record.to_json().into_bytes())},
    });
    metrics.wrote(Kind::Secret.as_str(), Verb::Apply);
    let (secret, patch) = (name.root(), Patch::Merge(patch));
    let changed = secrets.patch(&secret, &merged_by_us(), &patch).await;
    *root = read(name, &changed.map_err(|source| failed(name, source))?)?;
    Ok(())
}

fn read(name: &ClusterName, found: &Secret) -> Result<Root, RootError> {
    Root::read(found).map_err(|source| RootError::Damaged {
        root: name.root(),
        source,
    })
}

fn failed(name: &ClusterName, source: Error) -> RootError {
    RootError::Api {
        root: name.root(),
        source: Box::new(source),
    }
}

/// A volume or pod of the cluster, asked of the API server itself.
async fn stranded(
    cache: &Cache,
    name: &ClusterName,
    namespace: &str,
) -> Result<Option<String>, Error> {
    let selector = format!("{}={name}", labels::CLUSTER);
    for kind in [Kind::PersistentVolumeClaim, Kind::Pod] {
        let found = cache.list_live(kind, namespace, &selector).await?;
        let first = found
            .first()
            .and_then(|object| object.metadata.name.clone());
        if let Some(first) = first {
            return Ok(Some(format!("{kind} {first}")));
        }
    }
    Ok(None)
}
