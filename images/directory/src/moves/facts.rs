//! A move record with its fields checked: what the rest of the module reads.

use prost::Message as _;
use wire::ids::{AccountId, Epoch, IdError, Incarnation, MoveId, ShardName};
use wire::rpc::MovePhase;

use crate::model::is_open;
use crate::model::records::MoveRecord;

/// What the fence answered: nothing is written to the account after this change number, as long as
/// this incarnation of the source lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Incarnation of the source.
    pub incarnation: Incarnation,
    /// The account's last change number.
    pub change_number: u64,
}

/// What was compared before the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Incarnation of the target when it gave its digest.
    pub target_incarnation: Incarnation,
    /// The digest that both gave (SHA-256).
    pub digest: Vec<u8>,
}

/// One move of one account, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveFacts {
    /// The move.
    pub id: MoveId,
    /// Whose store moves.
    pub account: AccountId,
    /// The account's address, for people.
    pub address: String,
    /// Where it comes from.
    pub source: ShardName,
    /// Where it goes.
    pub target: ShardName,
    /// Epoch at the source when the move was planned.
    pub epoch: Epoch,
    /// How far it is.
    pub phase: MovePhase,
    /// Set while Fencing, once the source has answered.
    pub fence: Option<Fence>,
    /// Set from Verified on.
    pub evidence: Option<Evidence>,
    /// Copied so far, and in all.
    pub progress: Progress,
    /// When the copy last brought something, in milliseconds since 1970; 0: not yet.
    pub copied_at_ms: i64,
    /// Copies that broke off after they had brought something; the next one begins from nothing.
    pub broken_off: u32,
    /// What it waits for, or why it was aborted.
    pub reason: String,
    /// What it is part of, in the words of whoever asked for it; empty: of nothing.
    pub plan: String,
    /// Milliseconds since 1970.
    pub started_at_ms: i64,
    /// When the phase was entered, in milliseconds since 1970.
    pub changed_at_ms: i64,
}

/// How much of the account is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Messages copied.
    pub messages: u64,
    /// Octets copied.
    pub bytes: u64,
    /// Messages in all.
    pub total_messages: u64,
    /// Octets in all.
    pub total_bytes: u64,
}

impl Progress {
    /// Whether anything is copied.
    pub(crate) fn has_begun(&self) -> bool {
        self.messages > 0 || self.bytes > 0
    }
}

/// A move record that this version cannot act on; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveFault {
    /// An id or name has not the form that it must have.
    #[error("the record of the move of account {account} cannot be read: {source}")]
    Id {
        /// Whose move it is.
        account: AccountId,
        /// What is wrong.
        source: IdError,
    },
    /// The phase is none that this version knows.
    #[error("the record of the move of account {account} has phase {phase}, which is unknown")]
    Phase {
        /// Whose move it is.
        account: AccountId,
        /// The number found.
        phase: i32,
    },
}

impl MoveFacts {
    /// Reads the record of an account's move.
    pub fn read(account: AccountId, record: &MoveRecord) -> Result<Self, MoveFault> {
        let id_fault = |source| MoveFault::Id { account, source };
        let phase = match MovePhase::try_from(record.phase) {
            Ok(MovePhase::Unspecified) | Err(_) => {
                return Err(MoveFault::Phase {
                    account,
                    phase: record.phase,
                });
            }
            Ok(phase) => phase,
        };
        Ok(Self {
            id: MoveId::from_slice(&record.move_id).map_err(id_fault)?,
            account,
            address: record.address.clone(),
            source: record.source.parse().map_err(id_fault)?,
            target: record.target.parse().map_err(id_fault)?,
            epoch: Epoch(record.epoch),
            phase,
            fence: read_fence(record),
            evidence: read_evidence(record),
            progress: read_progress(record),
            copied_at_ms: record.copied_at_ms,
            broken_off: record.broken_off,
            reason: record.reason.clone(),
            plan: record.plan.clone(),
            started_at_ms: record.started_at_ms,
            changed_at_ms: record.changed_at_ms,
        })
    }

    /// The record that reads back as these facts.
    pub fn record(&self) -> MoveRecord {
        let fence = self.fence.unwrap_or(Fence {
            incarnation: Incarnation(0),
            change_number: 0,
        });
        let (target_incarnation, digest) = match &self.evidence {
            Some(evidence) => (evidence.target_incarnation.0, evidence.digest.clone()),
            None => (0, Vec::new()),
        };
        MoveRecord {
            move_id: self.id.to_field(),
            address: self.address.clone(),
            source: self.source.to_string(),
            target: self.target.to_string(),
            epoch: self.epoch.0,
            phase: self.phase.into(),
            source_incarnation: fence.incarnation.0,
            target_incarnation,
            change_number: fence.change_number,
            digest: digest.into(),
            messages: self.progress.messages,
            bytes: self.progress.bytes,
            total_messages: self.progress.total_messages,
            total_bytes: self.progress.total_bytes,
            copied_at_ms: self.copied_at_ms,
            broken_off: self.broken_off,
            reason: self.reason.clone(),
            plan: self.plan.clone(),
            started_at_ms: self.started_at_ms,
            changed_at_ms: self.changed_at_ms,
        }
    }

    /// Whether it is not decided yet where the account is to be: it can be aborted.
    pub fn is_open(&self) -> bool {
        is_open(self.phase)
    }

    /// Copies that broke off, with the one under way.
    pub(crate) fn broken_off_with_this(&self) -> u32 {
        let this = u32::from(self.progress.has_begun());
        self.broken_off.saturating_add(this)
    }
}

/// Reads any octets as a move's record; what is understood is written as it was read.
pub fn fuzz(data: &[u8]) {
    let account = AccountId::from_bytes([1; 16]);
    let Ok(record) = MoveRecord::decode(data) else {
        return;
    };
    if let Ok(facts) = MoveFacts::read(account, &record) {
        assert_eq!(MoveFacts::read(account, &facts.record()), Ok(facts));
    }
}

fn read_fence(record: &MoveRecord) -> Option<Fence> {
    let incarnation = Incarnation(record.source_incarnation);
    let change_number = record.change_number;
    (incarnation.0 > 0).then_some(Fence {
        incarnation,
        change_number,
    })
}

fn read_evidence(record: &MoveRecord) -> Option<Evidence> {
    let target_incarnation = Incarnation(record.target_incarnation);
    let digest = record.digest.to_vec();
    (target_incarnation.0 > 0).then_some(Evidence {
        target_incarnation,
        digest,
    })
}

fn read_progress(record: &MoveRecord) -> Progress {
    Progress {
        messages: record.messages,
        bytes: record.bytes,
        total_messages: record.total_messages,
        total_bytes: record.total_bytes,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A move from `shard-1` to `shard-2` in `phase`, with what that phase has.
    pub(crate) fn example(phase: MovePhase) -> MoveFacts {
        let fenced = !matches!(phase, MovePhase::Planned | MovePhase::Copying);
        let verified = fenced && phase != MovePhase::Fencing;
        let fence = Fence {
            incarnation: Incarnation(3),
            change_number: 40,
        };
        let evidence = Evidence {
            target_incarnation: Incarnation(5),
            digest: vec![7; 32],
        };
        MoveFacts {
            id: MoveId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            address: "ana@example.org".to_owned(),
            source: "shard-1".parse().unwrap(),
            target: "shard-2".parse().unwrap(),
            epoch: Epoch(6),
            phase,
            fence: fenced.then_some(fence),
            evidence: verified.then_some(evidence),
            progress: Progress::default(),
            copied_at_ms: 0,
            broken_off: 0,
            reason: String::new(),
            plan: "a plan".to_owned(),
            started_at_ms: 1_000,
            changed_at_ms: 2_000,
        }
    }

    #[test]
    fn every_phase_reads_back_as_it_was_written() {
        for number in 1..=6 {
            let facts = example(MovePhase::try_from(number).unwrap());
            assert_eq!(MoveFacts::read(facts.account, &facts.record()), Ok(facts));
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn a_good_record_with_an_octet_changed(
            number in 1..=6,
            place: prop::sample::Index,
            octet: u8,
        ) {
            let phase = MovePhase::try_from(number).unwrap();
            let mut data = example(phase).record().encode_to_vec();
            let place = place.index(data.len());
            data[place] = octet;
            fuzz(&data);
        }
    }

    #[test]
    fn a_record_that_cannot_be_acted_on_names_its_fault() {
        let facts = example(MovePhase::Copying);
        let read = |record: MoveRecord| {
            MoveFacts::read(facts.account, &record)
                .unwrap_err()
                .to_string()
        };
        assert!(
            read(MoveRecord {
                phase: 77,
                ..facts.record()
            })
            .contains("phase 77")
        );
        assert!(
            read(MoveRecord {
                phase: 0,
                ..facts.record()
            })
            .contains("phase 0")
        );
        assert!(
            read(MoveRecord {
                target: "A B".into(),
                ..facts.record()
            })
            .contains("shard name")
        );
        let short = MoveRecord {
            move_id: vec![1].into(),
            ..facts.record()
        };
        assert!(read(short).contains("move id"));
    }

    #[test]
    fn open_ends_with_the_decision() {
        let open = |phase| example(phase).is_open();
        assert!(open(MovePhase::Planned) && open(MovePhase::Verified));
        assert!(!open(MovePhase::Done) && !open(MovePhase::Aborted));
    }
}
