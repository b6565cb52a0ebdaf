//! The cluster's id: written once into the store, the same in every certificate.
//!
//! A replica knows its cluster from its own certificate; the store must hold that id.

use futures::StreamExt as _;
use prost::Message as _;
use wire::ids::ClusterId;

use crate::model::Key;
use crate::model::records::ClusterRecord;
use crate::store::{Error as StoreError, Expect, Store, Txn};

/// Why a replica does not serve this store.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It is another cluster's.
    #[error(
        "the store is of cluster {found}, and this replica's certificate of {ours}: give it the \
         store or the certificate that belongs to it"
    )]
    Other {
        /// The store's.
        found: ClusterId,
        /// The certificate's.
        ours: ClusterId,
    },
    /// It holds no cluster, and nobody said that the cluster is new.
    #[error("the store is empty, and cluster {0} is not new: restore it from a backup")]
    Empty(ClusterId),
    /// It holds something, but no cluster.
    #[error("the store holds keys and no cluster's id: it is no new one; restore it from a backup")]
    Strange,
    /// Its cluster id cannot be read.
    #[error("the store's cluster id cannot be read")]
    Unreadable,
    /// It did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) async fn read(store: &dyn Store) -> Result<Option<ClusterId>, ClusterError> {
    let entries = store.get(vec![Key::Cluster.to_string()]).await?;
    let Some(entry) = entries.into_iter().next().flatten() else {
        return Ok(None);
    };
    let record = ClusterRecord::decode(&entry.value[..]);
    let record = record.map_err(|_| ClusterError::Unreadable)?;
    let id = ClusterId::from_slice(&record.cluster_id).map_err(|_| ClusterError::Unreadable)?;
    Ok(Some(id))
}

/// Makes an empty store `ours`; another replica may be faster.
pub(crate) async fn write(store: &dyn Store, ours: ClusterId) -> Result<(), ClusterError> {
    if !is_empty(store).await? {
        return Err(ClusterError::Strange);
    }
    let record = ClusterRecord {
        cluster_id: ours.to_field(),
        created_at_ms: kit::clock::unix_ms(),
    };
    let key = Key::Cluster.to_string();
    let txn = Txn::new()
        .when(key.clone(), Expect::Absent)
        .put(key, record.encode_to_vec());
    match store.commit(txn).await {
        Ok(_) | Err(StoreError::Unknown(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn is_empty(store: &dyn Store) -> Result<bool, StoreError> {
    let mut load = store.load().await?;
    while let Some(page) = load.pages.next().await {
        if !page?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
