//! How this replica is, from what it knows itself.

use std::time::Duration;

use tokio::time::timeout;
use wire::answer::NotMe;
use wire::rpc::{ReplicaState, ReplicaStatus, StoreAlarm};

use super::Operator;
use crate::claim::Claimed;
use crate::store::{Alarm, Error};

/// The store may take this long to tell of its alarms; then it counts as away.
const TELLS_ALARMS: Duration = Duration::from_secs(1);

impl Operator {
    pub(super) async fn replica(&self) -> ReplicaStatus {
        let alarms = self.alarms().await;
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
            alarms,
        }
    }

    async fn alarms(&self) -> Vec<i32> {
        let told = timeout(TELLS_ALARMS, self.admin.store.alarms()).await;
        let raised = match told {
            Ok(Ok(raised)) => raised.into_iter().map(raised_by_itself).collect(),
            Ok(Err(error)) => vec![of_fault(&error)],
            Err(_) => vec![StoreAlarm::Away],
        };
        let fault = self.admin.writes.fault().map(|fault| of_fault(&fault));
        let mut alarms: Vec<i32> = raised.into_iter().chain(fault).map(Into::into).collect();
        alarms.sort_unstable();
        alarms.dedup();
        alarms
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

fn raised_by_itself(alarm: Alarm) -> StoreAlarm {
    match alarm {
        Alarm::Full => StoreAlarm::Full,
        Alarm::Corrupt => StoreAlarm::Corrupt,
    }
}

/// What a program is told of a call that the store did not answer.
fn of_fault(fault: &Error) -> StoreAlarm {
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
