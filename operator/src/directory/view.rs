//! What the directory says of itself and of shards, at one moment.

use std::collections::BTreeMap;

use kit::rpc::Channel;
use wire::rpc::{ReplicaState, ReplicaStatus, ShardInfo, ShardState, StoreAlarm};

/// The last look.
#[derive(Clone, Default)]
pub struct View {
    /// What each replica answered; none: it did not.
    pub replicas: BTreeMap<String, Option<ReplicaStatus>>,
    /// The shards; none: no replica could tell.
    pub shards: Option<Vec<ShardInfo>>,
    /// The list of shards may be old.
    pub stale: bool,
    /// Leads to a replica that serves, or to one that waits for a cluster in its store.
    pub(crate) channel: Option<Channel>,
}

/// Whether there is a directory to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// A replica serves.
    Answering,
    /// Replicas answer, and wait: the store holds no cluster.
    Empty,
    /// Replicas answer, and their store does not.
    NoStore,
    /// Replicas answer, and have not loaded the map.
    Loading,
    /// Nobody answers.
    NoReplica,
}

impl View {
    /// The best that a replica says.
    pub fn reachable(&self) -> Reachable {
        let states = self.states();
        let some = |wanted: ReplicaState| states.contains(&wanted);
        match () {
            () if some(ReplicaState::Serving) => Reachable::Answering,
            () if some(ReplicaState::Empty) => Reachable::Empty,
            () if some(ReplicaState::Loading) => Reachable::Loading,
            () if !states.is_empty() => Reachable::NoStore,
            () => Reachable::NoReplica,
        }
    }

    /// One shard.
    pub fn shard(&self, name: &str) -> Option<&ShardInfo> {
        let mut shards = self.shards.iter().flatten();
        shards.find(|shard| shard.name == name)
    }

    /// The shards that have not ended.
    pub fn shards_there(&self) -> impl Iterator<Item = &ShardInfo> {
        let shards = self.shards.iter().flatten();
        shards.filter(|shard| match shard.state() {
            ShardState::Active | ShardState::Cordoned | ShardState::Draining => true,
            ShardState::Retired | ShardState::Lost | ShardState::Unspecified => false,
        })
    }

    /// What replicas say is wrong with the store, each once.
    pub fn alarms(&self) -> Vec<StoreAlarm> {
        let told = self.replicas.values().flatten();
        let mut alarms: Vec<_> = told.flat_map(ReplicaStatus::alarms).collect();
        alarms.sort_unstable();
        alarms.dedup();
        alarms
    }

    /// Whether two looks say the same, as far as anybody decides by it: how long ago something was
    /// said is no news.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.states() == other.states()
            && self.alarms() == other.alarms()
            && self.shards.as_ref().map(|shards| plain(shards))
                == other.shards.as_ref().map(|shards| plain(shards))
    }

    /// Shards of which it says something else than an earlier look; all when there was none.
    pub(crate) fn changed_since(&self, before: Option<&Self>) -> Vec<String> {
        let before = before.and_then(|before| before.shards.as_ref());
        let before = plain(before.map_or(&[][..], Vec::as_slice));
        let now = plain(self.shards.as_deref().unwrap_or_default());
        let changed = now.iter().filter(|shard| !before.contains(shard));
        changed.map(|shard| shard.name.clone()).collect()
    }

    fn states(&self) -> Vec<ReplicaState> {
        let told = self.replicas.values().flatten();
        told.map(ReplicaStatus::state).collect()
    }
}

/// Without the ages.
fn plain(shards: &[ShardInfo]) -> Vec<ShardInfo> {
    let without_ages = |shard: &ShardInfo| ShardInfo {
        load_age_ms: None,
        opening_age_ms: None,
        ..shard.clone()
    };
    shards.iter().map(without_ages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(states: &[Option<ReplicaState>]) -> View {
        let replicas = states.iter().enumerate().map(|(place, state)| {
            let status = state.map(|state| ReplicaStatus {
                state: state.into(),
                ..ReplicaStatus::default()
            });
            (format!("a-directory-{place}"), status)
        });
        View {
            replicas: replicas.collect(),
            ..View::default()
        }
    }

    #[test]
    fn the_best_word_counts() {
        use ReplicaState::{Empty, Loading, OutOfTouch, Serving, Waiting};
        for (states, expected) in [
            (vec![], Reachable::NoReplica),
            (vec![None, None], Reachable::NoReplica),
            (vec![None, Some(Waiting)], Reachable::NoStore),
            (vec![Some(OutOfTouch)], Reachable::NoStore),
            (vec![Some(Waiting), Some(Empty)], Reachable::Empty),
            (vec![Some(Loading), None], Reachable::Loading),
            (vec![Some(Empty), Some(Serving)], Reachable::Answering),
        ] {
            assert_eq!(view(&states).reachable(), expected, "{states:?}");
        }
    }

    #[test]
    fn that_time_passes_is_no_news() {
        let shard = |age, accounts| ShardInfo {
            load_age_ms: Some(age),
            accounts,
            ..ShardInfo::default()
        };
        let with = |shard| View {
            shards: Some(vec![shard]),
            ..View::default()
        };
        assert!(with(shard(1, 5)).says_the_same(&with(shard(2, 5))));
        assert!(!with(shard(1, 5)).says_the_same(&with(shard(1, 6))));
        assert!(!with(shard(1, 5)).says_the_same(&View::default()));
    }
}
