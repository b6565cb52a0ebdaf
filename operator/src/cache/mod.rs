//! What is there, as far as it is ours: followed, not asked for.
//!
//! One watch a kind, by the label that everything of ours carries. What we have just written counts
//! before what the watch says, until the watch has come as far: else the next look would write again.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::names::labels;
use crate::objects::{Key, Kind};

mod own;

use own::Own;

/// Every object of ours in the watched namespaces. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    client: Client,
    stores: Arc<[(Kind, Store<DynamicObject>)]>,
    own: Arc<Own>,
}

/// Something changed: which object, and the labels that say whose it is.
pub type Touched = DynamicObject;

impl Cache {
    /// Follows one namespace, or all. What is touched has to be read from the stream, or nothing is
    /// followed.
    pub(crate) fn follow(
        client: &Client,
        namespace: Option<&str>,
    ) -> (Self, impl Stream<Item = (Kind, Touched)> + Send + 'static) {
        let own = Arc::new(Own::default());
        let mut stores = Vec::new();
        let mut streams = Vec::new();
        for kind in Kind::ALL {
            let (store, stream) = follow_kind(client, namespace, kind, Arc::clone(&own));
            stores.push((kind, store));
            streams.push(stream.boxed());
        }
        let this = Self {
            client: client.clone(),
            stores: stores.into(),
            own,
        };
        (this, futures::stream::select_all(streams))
    }

    /// Returns once everything was seen: deciding before that would make anew what is there.
    pub(crate) async fn is_whole(&self) {
        for (_, store) in &*self.stores {
            // Its writer lives as long as the stream of what is touched.
            let _ = store.wait_until_ready().await;
        }
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        let reference = ObjectRef::new_with(&key.name, key.kind.resource());
        let seen = self.store(key.kind).get(&reference.within(&key.namespace));
        self.own.newer(key, seen)
    }

    /// One object, as its type.
    pub fn read<K: Resource + DeserializeOwned>(&self, key: &Key) -> Option<K> {
        self.get(key).and_then(|object| typed(&object))
    }

    /// All objects of a kind with these labels in a namespace, as their type, by name. One whose
    /// fields cannot be read is left out.
    pub fn list<K: Resource + DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        wanted: &labels::Labels,
    ) -> Vec<K> {
        let found = self.found(kind, namespace, wanted);
        found.iter().filter_map(|object| typed(object)).collect()
    }

    /// The same, as they are.
    pub(crate) fn found(
        &self,
        kind: Kind,
        namespace: &str,
        wanted: &labels::Labels,
    ) -> Vec<Arc<DynamicObject>> {
        let has = |object: &DynamicObject| {
            let labels = object.labels();
            let mut wanted = wanted.iter();
            object.metadata.namespace.as_deref() == Some(namespace)
                && wanted.all(|(name, value)| labels.get(name) == Some(value))
        };
        let mut found = self.store(kind).state();
        found.extend(self.own.of(kind));
        found.retain(|object| has(object));
        found.sort_by_key(|object| object.name_any());
        found.dedup_by_key(|object| object.name_any());
        let newest = found
            .into_iter()
            .filter_map(|object| self.get(&Key::of(kind, &object)));
        newest.collect()
    }

    /// What we just wrote, as the API server answered.
    pub(crate) fn wrote(&self, kind: Kind, object: DynamicObject) {
        self.own.note(kind, object);
    }

    /// Asks the API server itself: for whatever cannot be undone.
    pub(crate) async fn list_live(
        &self,
        kind: Kind,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<DynamicObject>, kube::Error> {
        let api = Api::namespaced_with(self.client.clone(), namespace, &kind.resource());
        let listed = api.list(&ListParams::default().labels(selector)).await?;
        Ok(listed.items)
    }

    fn store(&self, kind: Kind) -> &Store<DynamicObject> {
        let place = Kind::ALL.iter().position(|other| *other == kind);
        // `follow` puts every kind there, in that order.
        &self.stores[place.unwrap_or_default()].1
    }
}

fn follow_kind(
    client: &Client,
    namespace: Option<&str>,
    kind: Kind,
    own: Arc<Own>,
) -> (
    Store<DynamicObject>,
    impl Stream<Item = (Kind, Touched)> + Send + 'static,
) {
    let resource = kind.resource();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let writer = reflector::store::Writer::new(resource);
    let store = writer.as_reader();
    let ours = watcher::Config::default().labels(labels::CLUSTER);
    let events = watcher(api, ours).default_backoff();
    let touched = reflector::reflector(writer, events)
        .inspect(move |event| {
            if let Ok(watcher::Event::Delete(object)) = event {
                own.deleted(&Key::of(kind, object), object);
            }
        })
        .touched_objects();
    let touched = touched.filter_map(move |touched| async move {
        match touched {
            Ok(object) => Some((kind, object)),
            Err(error) => {
                tracing::warn!(%kind, %error, "cannot follow; trying again");
                None
            }
        }
    });
    (store, touched)
}

fn typed<K: Resource + DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    let read = serde_json::to_value(object).and_then(serde_json::from_value);
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::warn!(object = object.name_any(), %error, "cannot be read");
            None
        }
    }
}
