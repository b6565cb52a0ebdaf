//! Makes objects what they are wanted to be, and writes nothing where they are so already.
//!
//! Before each write, what is wanted is compared with what is there ([`compare`]) and with what we
//! once wrote ([`unwanted`]). A write is a server-side apply with the whole object, by the field
//! manager [`OPERATOR`]; the API server keeps what others added.
//!
//! What was followed may be old. So what was not seen is asked for before it is made, and what goes
//! with a MailCluster is written only while that very one is there: of one that is gone, the garbage
//! collector would take it away from the next of its name.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use crds::MailCluster;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::metrics::{Metrics, Verb};
use crate::names::OPERATOR;
use crate::objects::{Key, Object};

mod compare;
mod delete;
mod drift;
mod keys;
mod owned;
mod path;
mod quantity;
pub mod template;

pub use compare::compare;
pub(crate) use delete::{delete, exactly, unless_gone};
pub use drift::{Drift, Verdict};
pub use owned::unwanted;
pub use path::Path;

/// Writes objects.
pub struct Applier {
    client: Client,
    cache: Cache,
    metrics: Metrics,
    drift: Mutex<Drift>,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was so already.
    Same,
    /// It was made.
    Made,
    /// It was written, since this was not as it is wanted.
    Written(Path),
    /// Somebody had changed this after we wrote it; it was written again.
    Repaired(Path),
    /// Somebody changes this again and again: it is left alone for a while.
    GivenUp {
        /// The place.
        path: Path,
        /// Who wrote it last, as the API server notes.
        by: String,
    },
    /// It is still left alone.
    Left,
    /// What it was decided by is old: whoever looks next decides anew.
    Overtaken,
}

impl Applied {
    /// Whether what was there is now as it is wanted, and was not.
    pub(crate) fn is_written(&self) -> bool {
        match self {
            Self::Written(_) | Self::Repaired(_) => true,
            Self::Same | Self::Made | Self::GivenUp { .. } | Self::Left | Self::Overtaken => false,
        }
    }
}

/// The API server refused an object, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {source}")]
pub struct NotApplied {
    /// Which one.
    pub key: Key,
    /// What it said.
    pub source: Box<Error>,
}

impl NotApplied {
    /// Whether the API server understood and said no: a person has to change something.
    pub fn is_refusal(&self) -> bool {
        match &*self.source {
            Error::Api(status) => (400..500).contains(&status.code) && status.code != 409,
            _ => false,
        }
    }
}

impl Applier {
    pub(crate) fn new(client: Client, cache: Cache, metrics: Metrics) -> Self {
        Self {
            client,
            cache,
            metrics,
            drift: Mutex::default(),
        }
    }

    /// Writes it if it differs.
    pub async fn apply(&self, wanted: &Object) -> Result<Applied, NotApplied> {
        let Some(live) = self.cache.get(&wanted.key()) else {
            return match self.is_there(&wanted.key()).await? {
                true => Ok(Applied::Overtaken),
                false => self.write(wanted, Applied::Made).await,
            };
        };
        let Some(path) = self.differs(wanted, &live) else {
            return Ok(Applied::Same);
        };
        let verdict = {
            let digest = digest(wanted);
            let mut drift = self.drift.lock();
            drift.judge(&wanted.key(), &path.to_string(), digest, Instant::now())
        };
        match verdict {
            Verdict::Leave => Ok(Applied::Left),
            Verdict::GiveUp => Ok(Applied::GivenUp {
                by: last_writer(&live),
                path,
            }),
            Verdict::Write => self.write(wanted, Applied::Written(path)).await,
            Verdict::Repair => {
                self.metrics.drifted(wanted.kind());
                tracing::warn!(object = %wanted.key(), %path, "somebody changed it; written again");
                self.write(wanted, Applied::Repaired(path)).await
            }
        }
    }

    /// Makes it; false: it is there already, as it may be.
    pub async fn create(&self, wanted: &Object) -> Result<bool, NotApplied> {
        let object = serde_json::from_value(wanted.value().clone());
        let object = object.map_err(Error::SerdeError);
        let object = object.map_err(|error| failed(&wanted.key(), error))?;
        self.metrics.wrote(wanted.kind().as_str(), Verb::Create);
        match self
            .api(&wanted.key())
            .create(&created_by_us(), &object)
            .await
        {
            Ok(made) => {
                self.cache.wrote(wanted.kind(), made);
                Ok(true)
            }
            Err(Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(failed(&wanted.key(), error)),
        }
    }

    fn differs(&self, wanted: &Object, live: &DynamicObject) -> Option<Path> {
        // What was read from JSON can be written as JSON. Items of a list do not say their type.
        let mut live = serde_json::to_value(live).unwrap_or_default();
        for of_type in ["apiVersion", "kind"] {
            live[of_type] = wanted.value()[of_type].clone();
        }
        compare(wanted.value(), &live).or_else(|| unwanted(wanted.value(), &live, OPERATOR))
    }

    async fn is_there(&self, key: &Key) -> Result<bool, NotApplied> {
        let found = self.api(key).get_metadata_opt(&key.name).await;
        let found = found.map_err(|error| failed(key, error))?;
        Ok(found.is_some())
    }

    /// Whether the very MailCluster that it goes with is there and stays; what stays goes with none.
    async fn has_owner(&self, wanted: &Object) -> Result<bool, NotApplied> {
        let Some((name, uid)) = wanted.owner() else {
            return Ok(true);
        };
        let key = wanted.key();
        let api: Api<MailCluster> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = api.get_metadata_opt(name).await;
        let found = found.map_err(|error| failed(&key, error))?;
        Ok(found.is_some_and(|found| {
            let metadata = found.metadata;
            metadata.uid.as_deref() == Some(uid) && metadata.deletion_timestamp.is_none()
        }))
    }

    async fn write(&self, wanted: &Object, done: Applied) -> Result<Applied, NotApplied> {
        if !self.has_owner(wanted).await? {
            return Ok(Applied::Overtaken);
        }
        let params = PatchParams::apply(OPERATOR).force();
        let mut value = wanted.value().clone();
        if let Some(version) = wanted.version() {
            value["metadata"]["resourceVersion"] = version.into();
        }
        self.metrics.wrote(wanted.kind().as_str(), Verb::Apply);
        let api = self.api(&wanted.key());
        match api
            .patch(wanted.name(), &params, &Patch::Apply(value))
            .await
        {
            Ok(written) => {
                self.cache.wrote(wanted.kind(), written);
                Ok(done)
            }
            Err(Error::Api(status)) if status.code == 409 && wanted.version().is_some() => {
                Ok(Applied::Overtaken)
            }
            Err(error) => Err(failed(&wanted.key(), error)),
        }
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        let resource = key.kind.resource();
        Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
    }
}

/// For what is created, and never applied.
pub(crate) fn created_by_us() -> PostParams {
    PostParams {
        field_manager: Some(OPERATOR.to_owned()),
        ..PostParams::default()
    }
}

/// For single fields of what is not applied as a whole.
pub(crate) fn merged_by_us() -> PatchParams {
    PatchParams {
        field_manager: Some(OPERATOR.to_owned()),
        ..PatchParams::default()
    }
}

fn failed(key: &Key, error: Error) -> NotApplied {
    NotApplied {
        key: key.clone(),
        source: Box::new(error),
    }
}

fn digest(wanted: &Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.value().to_string().hash(&mut hasher);
    hasher.finish()
}

fn last_writer(live: &Arc<DynamicObject>) -> String {
    let notes = live.metadata.managed_fields.iter().flatten();
    let others = notes.filter(|note| note.manager.as_deref() != Some(OPERATOR));
    let last = others.max_by_key(|note| note.time.clone());
    let name = last.and_then(|note| note.manager.clone());
    name.unwrap_or_else(|| "somebody unnamed".to_owned())
}
