//! Who may serve a shard's volume: incarnations and the leases on them. Pure decisions.
//!
//! A starting shard gets an incarnation above the directory's and above its volume's highest. While
//! another process holds the lease it waits, unless that one is surely dead: it ran in the same
//! boot of the same machine, and held the very lock that the caller has now: of the same volume, the
//! same file. A copy of a volume's folder has the volume's id, and another lock.
//!
//! | lease | same boot, volume and lock | answer |
//! |---|---|---|
//! | none | any | granted, if it is the [`volume`] that was served last |
//! | held | yes | the same, and the old one ends |
//! | held | no | held: ask again |

use wire::ids::{ClusterId, Incarnation, ShardName};
use wire::rpc::{AcquireLeaseRequest, ShardState};

pub mod volume;

use self::volume::{BadVolume, is_awaited, judge};
use crate::model::records::{LeaseRecord, ShardRecord, VolumeRecord};
use crate::store::LeaseId;

/// What the store holds about a shard.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// None: the shard was never added.
    pub state: Option<ShardState>,
    /// None: it never held a lease.
    pub record: Option<ShardRecord>,
    /// The lease that is held now.
    pub lease: Option<LeaseRecord>,
    /// What was told of its volume.
    pub volume: Option<VolumeRecord>,
}

/// What a starting shard is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It gets this incarnation; the lease of its dead predecessor ends.
    Grant {
        /// Above all there ever was.
        incarnation: Incarnation,
        /// The predecessor's.
        replaces: Option<LeaseId>,
    },
    /// Another process holds the lease.
    Held(LeaseRecord),
    /// Its volume has lost mail, and an administrator said to go on without it: ask again then.
    GoOn,
    /// It never gets one.
    Refused(Refusal),
}

/// Why a shard never gets a lease, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its volume is not the one that it served last.
    #[error(transparent)]
    Volume(#[from] BadVolume),
    /// The volume is another cluster's.
    #[error(
        "the volume belongs to cluster {0:?} and this directory to {1}: give the shard its own \
         volume, or an empty one"
    )]
    Foreign(String, ClusterId),
    /// Nobody added it.
    #[error("the shard {0} is not known: make it known first (AddShard)")]
    Unknown(ShardName),
    /// Its name is not used again.
    #[error("the shard {0} is retired, and its name is not used again: add one with another name")]
    Retired(ShardName),
    /// An administrator has declared it lost, and its accounts may be made anew since.
    #[error("the shard {0} was declared lost, for good: add one with another name")]
    Lost(ShardName),
}

/// Answers a starting shard.
pub fn decide(
    cluster: ClusterId,
    shard: &ShardName,
    known: &Known,
    request: &AcquireLeaseRequest,
) -> Decision {
    if let Some(refusal) = refusal(cluster, shard, known, request) {
        return Decision::Refused(refusal);
    }
    match &known.lease {
        Some(lease) if !is_dead(lease, request) => Decision::Held(lease.clone()),
        _ if request.lost && is_awaited(known.volume.as_ref()) => Decision::GoOn,
        lease => Decision::Grant {
            incarnation: next_incarnation(known, request),
            replaces: lease.as_ref().map(|lease| LeaseId(lease.store_lease)),
        },
    }
}

fn refusal(
    cluster: ClusterId,
    shard: &ShardName,
    known: &Known,
    request: &AcquireLeaseRequest,
) -> Option<Refusal> {
    // A new volume has no cluster yet.
    let volume = &request.cluster_id;
    if !volume.is_empty() && volume.parse() != Ok(cluster) {
        return Some(Refusal::Foreign(volume.clone(), cluster));
    }
    match known.state {
        None | Some(ShardState::Unspecified) => return Some(Refusal::Unknown(shard.clone())),
        Some(ShardState::Retired) => return Some(Refusal::Retired(shard.clone())),
        Some(ShardState::Lost) => return Some(Refusal::Lost(shard.clone())),
        Some(ShardState::Active | ShardState::Cordoned | ShardState::Draining) => {}
    }
    let bad = match request.lost {
        true if is_awaited(known.volume.as_ref()) => None,
        true => Some(BadVolume::Lost(shard.clone())),
        false => {
            let told = request.volume.clone().unwrap_or_default();
            judge(shard, known.volume.as_ref(), given_out(known), &told).err()
        }
    };
    bad.map(Refusal::Volume)
}

/// The process that holds the lease is gone: it held the lock of a volume, which only one process
/// of a machine has, and the caller has that very file's lock now, in the same boot of the same
/// machine.
fn is_dead(lease: &LeaseRecord, request: &AcquireLeaseRequest) -> bool {
    let volume = request.volume.as_ref().map(|volume| &volume.id);
    let of_lease = lease.lock.is_some() && !lease.boot_id.is_empty() && !lease.volume_id.is_empty();
    of_lease
        && request.boot_id == lease.boot_id
        && request.lock == lease.lock
        && volume == Some(&lease.volume_id)
}

/// The highest incarnation that this shard was given.
fn given_out(known: &Known) -> u64 {
    let recorded = known.record.as_ref().map_or(0, |record| record.incarnation);
    let leased = known.lease.as_ref().map_or(0, |lease| lease.incarnation);
    recorded.max(leased)
}

fn next_incarnation(known: &Known, request: &AcquireLeaseRequest) -> Incarnation {
    let opened = request.volume.as_ref().map_or(0, |volume| volume.opened);
    Incarnation(given_out(known).max(opened).saturating_add(1))
}

/// What a shard that renews is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// Its lease, which is prolonged.
    Prolong(LeaseId),
    /// Its lease ran out and nobody took over: it gets another one.
    GrantAgain,
    /// A higher incarnation exists.
    SupersededBy(Incarnation),
    /// The directory never gave out this incarnation: its store is older than the shard.
    Behind(Incarnation),
}

/// Answers a shard that renews.
pub fn renew(known: &Known, incarnation: Incarnation) -> Renewal {
    let newest = Incarnation(known.record.as_ref().map_or(0, |record| record.incarnation));
    if newest > incarnation {
        return Renewal::SupersededBy(newest);
    }
    if newest < incarnation {
        return Renewal::Behind(newest);
    }
    match &known.lease {
        Some(lease) if lease.incarnation == incarnation.0 => {
            Renewal::Prolong(LeaseId(lease.store_lease))
        }
        _ => Renewal::GrantAgain,
    }
}

#[cfg(test)]
mod tests {
    use wire::rpc::{LockFile, Volume};

    use super::*;

    const US: ClusterId = ClusterId::from_bytes([7; 16]);

    const LOCK: LockFile = LockFile {
        device: 1,
        inode: 2,
    };

    fn known(record: u64, lease: Option<(u64, &str)>) -> Known {
        Known {
            state: Some(ShardState::Active),
            record: (record > 0).then(|| ShardRecord {
                incarnation: record,
                ..ShardRecord::default()
            }),
            lease: lease.map(|(incarnation, boot_id)| LeaseRecord {
                incarnation,
                boot_id: boot_id.to_owned(),
                granted_at_ms: 0,
                store_lease: 55,
                serving: true,
                volume_id: vec![1; 16].into(),
                lock: Some(LOCK),
            }),
            volume: None,
        }
    }

    fn request(opened: u64, boot_id: &str, locked: bool) -> AcquireLeaseRequest {
        AcquireLeaseRequest {
            boot_id: boot_id.to_owned(),
            volume: Some(Volume {
                id: vec![1; 16].into(),
                opened,
                ..Volume::default()
            }),
            lock: locked.then_some(LOCK),
            ..AcquireLeaseRequest::default()
        }
    }

    fn asked(known: &Known, request: &AcquireLeaseRequest) -> Decision {
        decide(US, &"shard-1".parse().unwrap(), known, request)
    }

    fn grant(incarnation: u64, replaces: Option<i64>) -> Decision {
        Decision::Grant {
            incarnation: Incarnation(incarnation),
            replaces: replaces.map(LeaseId),
        }
    }

    #[test]
    fn an_incarnation_is_above_all_there_ever_was() {
        for (record, volume, incarnation) in [(0, 0, 1), (4, 0, 5), (4, 4, 5)] {
            let decision = asked(&known(record, None), &request(volume, "b", true));
            assert_eq!(decision, grant(incarnation, None), "{record} {volume}");
        }
    }

    #[test]
    fn a_held_lease_is_waited_for_unless_its_holder_is_surely_dead() {
        let held = known(4, Some((4, "boot-a")));
        let taken = grant(5, Some(55));
        let waits = Decision::Held(held.lease.clone().unwrap());
        for (boot, locked, expected) in [
            ("boot-a", true, &taken),
            ("boot-a", false, &waits),
            ("boot-b", true, &waits),
            ("boot-b", false, &waits),
            ("", true, &waits),
        ] {
            let decision = asked(&held, &request(4, boot, locked));
            assert_eq!(&decision, expected, "{boot:?} {locked}");
        }
        // A machine that does not say its boot id is never taken for the same one.
        let nameless = known(4, Some((4, "")));
        assert!(matches!(
            asked(&nameless, &request(4, "", true)),
            Decision::Held(_)
        ));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let refused = |known: &Known, request: &AcquireLeaseRequest| match asked(known, request) {
            Decision::Refused(refusal) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        let fine = request(0, "b", true);
        let with_state = |state| Known {
            state,
            ..Known::default()
        };
        assert!(refused(&with_state(None), &fine).contains("AddShard"));
        assert!(refused(&with_state(Some(ShardState::Retired)), &fine).contains("retired"));
        assert!(refused(&with_state(Some(ShardState::Lost)), &fine).contains("lost"));
        let mut foreign = request(3, "b", true);
        foreign.cluster_id = ClusterId::from_bytes([8; 16]).to_string();
        assert!(refused(&known(3, None), &foreign).contains("belongs to cluster"));
        foreign.cluster_id = US.to_string();
        assert_eq!(asked(&known(3, None), &foreign), grant(4, None));
        for state in [ShardState::Cordoned, ShardState::Draining] {
            assert_eq!(asked(&with_state(Some(state)), &fine), grant(1, None));
        }
    }

    #[test]
    fn renewals() {
        let renewed = |known: &Known| renew(known, Incarnation(4));
        assert_eq!(
            renewed(&known(4, Some((4, "b")))),
            Renewal::Prolong(LeaseId(55))
        );
        assert_eq!(renewed(&known(4, None)), Renewal::GrantAgain);
        assert_eq!(
            renewed(&known(5, None)),
            Renewal::SupersededBy(Incarnation(5))
        );
        let taken = known(5, Some((5, "b")));
        assert_eq!(renewed(&taken), Renewal::SupersededBy(Incarnation(5)));
        assert_eq!(renewed(&known(3, None)), Renewal::Behind(Incarnation(3)));
        assert_eq!(renewed(&Known::default()), Renewal::Behind(Incarnation(0)));
    }
}
