//! A new cluster gets its store.

use tonic::{Code, Status};
use wire::ids::ClusterId;
use wire::rpc::refusal::Why;
use wire::rpc::{BootstrapReply, BootstrapRequest, NotEmptyStore};

use super::{Operator, refuse};
use crate::claim::Bootstrapped;
use crate::cluster::ClusterError;

impl Operator {
    /// The caller says which cluster it means, so that a replica with another cluster's certificate
    /// does not take the store.
    pub(super) async fn make_ours(
        &self,
        request: &BootstrapRequest,
    ) -> Result<BootstrapReply, Status> {
        let wanted: ClusterId = request
            .cluster_id
            .parse()
            .map_err(|error| Status::invalid_argument(format!("cluster_id: {error}")))?;
        let ours = self.claim.ours();
        if wanted != ours {
            let sentence = format!("this replica is of cluster {ours}");
            return Err(refuse::other_cluster(sentence, ours));
        }
        match self.claim.bootstrap().await {
            Ok(outcome) => Ok(BootstrapReply {
                created: outcome == Bootstrapped::Created,
            }),
            Err(error) => Err(refusal(&error)),
        }
    }
}

fn refusal(error: &ClusterError) -> Status {
    match error {
        ClusterError::Other { found, .. } => refuse::other_cluster(error.to_string(), *found),
        ClusterError::Strange => kit::rpc::refused(
            Code::FailedPrecondition,
            error.to_string(),
            Why::NotEmptyStore(NotEmptyStore {}),
        ),
        ClusterError::Store(error) => crate::admin::refuse::store(error),
        ClusterError::Empty(_) | ClusterError::Unreadable => Status::internal(error.to_string()),
    }
}
