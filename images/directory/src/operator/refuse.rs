//! Refusals with a reason that a program acts on.

use tonic::{Code, Status};
use wire::ids::{ClusterId, ShardName};
use wire::rpc::refusal::Why;
use wire::rpc::{NotEmpty, OrdinalUsed, OtherCluster, OtherGeneration};

use kit::rpc::refused;

pub(super) fn other_cluster(sentence: String, found: ClusterId) -> Status {
    let cluster_id = found.to_string();
    let why = Why::OtherCluster(OtherCluster { cluster_id });
    refused(Code::FailedPrecondition, sentence, why)
}

/// No shard gets a name that another one had.
pub(super) fn ordinal_used(prefix: &str, ordinal: u32, next_free: u32) -> Status {
    let sentence = format!("{prefix}-{ordinal} was used: write {prefix}-{next_free} or higher");
    let why = Why::OrdinalUsed(OrdinalUsed { next_free });
    refused(Code::AlreadyExists, sentence, why)
}

pub(super) fn other_generation(name: &ShardName, generation: u64) -> Status {
    let sentence = format!("{name} was changed meanwhile: it is at generation {generation}");
    let why = Why::OtherGeneration(OtherGeneration { generation });
    refused(Code::Aborted, sentence, why)
}

pub(super) fn not_empty(sentence: Status, held: NotEmpty) -> Status {
    refused(sentence.code(), sentence.message(), Why::NotEmpty(held))
}
