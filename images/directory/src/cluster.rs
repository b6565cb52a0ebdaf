//! The cluster's id: written once into the store, the same in every certificate.
//!
//! A replica knows its cluster from its own certificate. The store must hold that id; an empty
//! store is made a cluster's only when `bootstrap` says so, since under an existing cluster it
//! would be a lost one.

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
    /// It holds no cluster.
    #[error(
        "the store is empty: restore it from a backup, or, if cluster {0} has never run, start \
         once with --bootstrap"
    )]
    Empty(ClusterId),
    /// Its cluster id cannot be read.
    #[error("the store's cluster id cannot be read")]
    Unreadable,
    /// It did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares the store's cluster with ours, or writes ours into an empty store.
pub(crate) async fn check(
    store: &dyn Store,
    ours: ClusterId,
    bootstrap: bool,
) -> Result<(), ClusterError> {
    match read(store).await? {
        Some(found) if found == ours => Ok(()),
        Some(found) => Err(ClusterError::Other { found, ours }),
        None if !bootstrap => Err(ClusterError::Empty(ours)),
        None => {
            write(store, ours).await?;
            // Another replica may have been first, or the answer was lost.
            match read(store).await? {
                Some(found) if found == ours => Ok(()),
                Some(found) => Err(ClusterError::Other { found, ours }),
                None => Err(ClusterError::Empty(ours)),
            }
        }
    }
}

async fn read(store: &dyn Store) -> Result<Option<ClusterId>, ClusterError> {
    let entries = store.get(vec![Key::Cluster.to_string()]).await?;
    let Some(entry) = entries.into_iter().next().flatten() else {
        return Ok(None);
    };
    let record = ClusterRecord::decode(&entry.value[..]);
    let record = record.map_err(|_| ClusterError::Unreadable)?;
    let id = ClusterId::from_slice(&record.cluster_id).map_err(|_| ClusterError::Unreadable)?;
    Ok(Some(id))
}

async fn write(store: &dyn Store, ours: ClusterId) -> Result<(), StoreError> {
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
        Err(error) => Err(error),
    }
}
