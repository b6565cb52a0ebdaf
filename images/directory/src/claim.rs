//! Whose the store is: until it is known to be ours, a replica answers nothing.
//!
//! A replica knows its cluster from its own certificate, and the store holds that id once somebody
//! has said, by [`Claim::bootstrap`], that the cluster is new. An empty store is a state and no
//! reason to end: under an existing cluster it is a lost one, and the replica waits for a restore.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wire::answer::NotMe;
use wire::ids::ClusterId;

use crate::cluster::{self, ClusterError};
use crate::store::SharedStore;

/// Between two looks at a store that is away or empty.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// It has not answered yet.
    Unknown,
    /// It holds no cluster.
    Empty,
    /// It is ours.
    Ours,
}

/// What a replica does that finds an empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenEmpty {
    /// Waits: for a bootstrap, or for a restore.
    #[default]
    Wait,
    /// Makes it ours: whoever started the replica knows that the cluster is new.
    Bootstrap,
    /// Ends: whoever started it knows that the cluster is not new.
    Refuse,
}

/// Our claim to a store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Claim {
    store: SharedStore,
    ours: ClusterId,
    state: Arc<watch::Sender<Claimed>>,
}

/// What a bootstrap found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bootstrapped {
    /// The store was empty and is ours now.
    Created,
    /// It was ours before.
    Before,
}

impl Claim {
    /// Of a replica of cluster `ours`; nothing is known yet.
    pub(crate) fn new(store: SharedStore, ours: ClusterId) -> Self {
        Self {
            store,
            ours,
            state: Arc::new(watch::Sender::new(Claimed::Unknown)),
        }
    }

    /// Our cluster.
    pub(crate) fn ours(&self) -> ClusterId {
        self.ours
    }

    /// What is known now.
    pub(crate) fn state(&self) -> Claimed {
        *self.state.borrow()
    }

    /// Until the store is ours, nothing can be asked here.
    pub(crate) fn check(&self) -> Result<(), NotMe> {
        match self.state() {
            Claimed::Ours => Ok(()),
            Claimed::Unknown => Err(NotMe::Loading),
            Claimed::Empty => Err(NotMe::EmptyStore),
        }
    }

    /// Everything of a store was read, and this cluster's id was in it. False: what was in it is
    /// lost, and a replica that went on would know of nobody.
    pub(crate) fn confirm(&self, found: Option<ClusterId>) -> bool {
        let is_ours = found == Some(self.ours);
        self.note(match is_ours {
            true => Claimed::Ours,
            false => Claimed::Empty,
        });
        is_ours
    }

    /// Waits until the store is ours.
    pub(crate) async fn ours_now(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`.
        drop(state.wait_for(|state| *state == Claimed::Ours).await);
    }

    /// Looks until the store is ours; an empty one is dealt with as `when_empty` says. Fails when it
    /// is another's.
    pub(crate) async fn establish(&self, when_empty: WhenEmpty) -> Result<(), ClusterError> {
        loop {
            match self.look(when_empty).await {
                Ok(Claimed::Ours) => return Ok(()),
                Ok(Claimed::Empty | Claimed::Unknown) => {}
                Err(ClusterError::Store(error)) if error.is_temporary() => {
                    tracing::warn!(%error, "the store cannot be asked yet");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, when_empty: WhenEmpty) -> Result<Claimed, ClusterError> {
        match (cluster::read(&*self.store).await?, when_empty) {
            (Some(found), _) if found == self.ours => self.note(Claimed::Ours),
            (Some(found), _) => return Err(self.other(found)),
            (None, WhenEmpty::Wait) => self.note(Claimed::Empty),
            (None, WhenEmpty::Refuse) => return Err(ClusterError::Empty(self.ours)),
            (None, WhenEmpty::Bootstrap) => drop(self.bootstrap().await?),
        }
        Ok(self.state())
    }

    /// Makes an empty store ours.
    pub(crate) async fn bootstrap(&self) -> Result<Bootstrapped, ClusterError> {
        let found = cluster::read(&*self.store).await?;
        let outcome = match found {
            Some(_) => Bootstrapped::Before,
            None => {
                cluster::write(&*self.store, self.ours).await?;
                Bootstrapped::Created
            }
        };
        // Another replica may have been first, or the answer was lost.
        match cluster::read(&*self.store).await? {
            Some(found) if found == self.ours => {
                self.note(Claimed::Ours);
                Ok(outcome)
            }
            Some(found) => Err(self.other(found)),
            None => Err(ClusterError::Empty(self.ours)),
        }
    }

    fn other(&self, found: ClusterId) -> ClusterError {
        let ours = self.ours;
        ClusterError::Other { found, ours }
    }

    fn note(&self, now: Claimed) {
        let before = self.state.send_replace(now);
        if before == now {
            return;
        }
        let cluster = self.ours;
        match now {
            Claimed::Unknown => {}
            Claimed::Empty => tracing::warn!(
                %cluster,
                "the store is empty: `buzonera directory bootstrap` makes it this cluster's if the \
                 cluster is new; if not, restore it from a backup"
            ),
            Claimed::Ours => tracing::info!(%cluster, "the store is this cluster's"),
        }
    }
}
