//! How this replica is, from what it knows itself.

use wire::answer::NotMe;
use wire::rpc::{ReplicaState, ReplicaStatus, StoreAlarm};

use super::Operator;
use crate::claim::Claimed;
use crate::store::Error;

impl Operator {
    pub(super) fn replica(&self) -> ReplicaStatus {
        let map = self.admin.shared.read();
        let revision = self.admin.shared.revision();
        let mover = map.mover().map(|mover| mover.instance.clone());
        let age = self.admin.freshness.age();
        let age = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        ReplicaStatus {
            instance: self.credentials.identity().instance().to_owned(),
            cluster_id: self.claim.ours().to_string(),
            state: state(self.claim.state(), self.admin.contact.may_speak()).into(),
            revision: revision.0,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            mover: mover.unwrap_or_default(),
            identity_bundle: self.credentials.bundle().fingerprint(),
            store_identity_bundle: self
                .store_bundle
                .as_ref()
                .map_or_else(String::new, |file| file.bundle().fingerprint()),
            contact_age_ms: age,
            alarm: self.admin.writes.fault().map(|fault| alarm(&fault).into()),
        }
    }
}

fn state(claimed: Claimed, may_speak: Result<(), NotMe>) -> ReplicaState {
    match (claimed, may_speak) {
        (Claimed::Unknown, _) => ReplicaState::Waiting,
        (Claimed::Empty, _) => ReplicaState::Empty,
        (Claimed::Ours, Ok(())) => ReplicaState::Serving,
        (Claimed::Ours, Err(NotMe::OutOfTouch)) => ReplicaState::OutOfTouch,
        (Claimed::Ours, Err(NotMe::Loading | NotMe::EmptyStore | NotMe::Unspecified)) => {
            ReplicaState::Loading
        }
    }
}

/// What a program is told of a write that was not taken.
fn alarm(fault: &Error) -> StoreAlarm {
    match fault {
        Error::Full(_) => StoreAlarm::Full,
        Error::Unknown(_) | Error::Unavailable(_) | Error::LeaseGone | Error::Compacted(_) => {
            StoreAlarm::Away
        }
        Error::Failed(_) | Error::Malformed(_) => StoreAlarm::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_store_goes_before_what_is_in_memory() {
        let (silent, loading) = (Err(NotMe::OutOfTouch), Err(NotMe::Loading));
        for (claimed, may_speak, expected) in [
            (Claimed::Unknown, loading, ReplicaState::Waiting),
            (Claimed::Empty, Err(NotMe::EmptyStore), ReplicaState::Empty),
            (Claimed::Empty, Ok(()), ReplicaState::Empty),
            (Claimed::Ours, loading, ReplicaState::Loading),
            (Claimed::Ours, silent, ReplicaState::OutOfTouch),
            (Claimed::Ours, Ok(()), ReplicaState::Serving),
        ] {
            assert_eq!(
                state(claimed, may_speak),
                expected,
                "{claimed:?} {may_speak:?}"
            );
        }
    }
}
