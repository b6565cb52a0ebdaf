//! Who may call what, at every RPC server: one table, read from the identity in the caller's
//! certificate.

use tonic::{Request, Status};
use wire::identity::Tier;

use crate::rpc::{caller, method};

/// Every method of every service, and the tiers that may call it.
pub const TABLE: &[(&str, &[Tier])] = &[
    (
        "/buzonera.v1.Directory/Resolve",
        &[Tier::Mx, Tier::Proxy, Tier::Admin],
    ),
    ("/buzonera.v1.Directory/Authenticate", &[Tier::Proxy]),
    ("/buzonera.v1.Directory/FollowShards", &[Tier::Mx]),
    ("/buzonera.v1.Registry/TellOpening", &[Tier::Storage]),
    ("/buzonera.v1.Registry/AcquireLease", &[Tier::Storage]),
    ("/buzonera.v1.Registry/RenewLease", &[Tier::Storage]),
    ("/buzonera.v1.Registry/TellVolume", &[Tier::Storage]),
    ("/buzonera.v1.Registry/ReleaseLease", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Report", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Watch", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Locate", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Confirm", &[Tier::Storage]),
    ("/buzonera.v1.Admin/AddDomain", OPERATORS),
    ("/buzonera.v1.Admin/ListDomains", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ShowDomain", &[Tier::Admin]),
    ("/buzonera.v1.Admin/RemoveDomain", &[Tier::Admin]),
    ("/buzonera.v1.Admin/AddAccount", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ImportAccounts", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ListAccounts", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ShowAccount", &[Tier::Admin]),
    ("/buzonera.v1.Admin/SetPassword", &[Tier::Admin]),
    ("/buzonera.v1.Admin/SetQuota", &[Tier::Admin]),
    ("/buzonera.v1.Admin/RemoveAccount", &[Tier::Admin]),
    ("/buzonera.v1.Admin/RestoreAccount", &[Tier::Admin]),
    ("/buzonera.v1.Admin/AddAlias", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ListAliases", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ShowAlias", &[Tier::Admin]),
    ("/buzonera.v1.Admin/RemoveAlias", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ListShards", &[Tier::Admin]),
    ("/buzonera.v1.Admin/AddShard", &[Tier::Admin]),
    ("/buzonera.v1.Admin/SetShardState", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ReplaceVolume", &[Tier::Admin]),
    ("/buzonera.v1.Admin/StartMove", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ShowMove", &[Tier::Admin]),
    ("/buzonera.v1.Admin/ListMoves", OPERATORS),
    ("/buzonera.v1.Admin/AbortMove", &[Tier::Admin]),
    ("/buzonera.v1.Admin/StartMoves", OPERATORS),
    ("/buzonera.v1.Admin/AbortMoves", OPERATORS),
    ("/buzonera.v1.Admin/ShowMoveLimits", OPERATORS),
    ("/buzonera.v1.Admin/SetMoveLimits", OPERATORS),
    ("/buzonera.v1.Admin/ListShardAccounts", OPERATORS),
    ("/buzonera.v1.Admin/Status", &[Tier::Admin]),
    ("/buzonera.v1.Operator/Bootstrap", OPERATORS),
    ("/buzonera.v1.Operator/AllocateShard", OPERATORS),
    ("/buzonera.v1.Operator/SetShard", OPERATORS),
    ("/buzonera.v1.Operator/ListShards", OPERATORS),
    ("/buzonera.v1.Operator/Status", OPERATORS),
    ("/buzonera.v1.Shard/Deliver", &[Tier::Mx]),
    (
        "/buzonera.v1.Shard/AccountUsage",
        &[Tier::Directory, Tier::Admin],
    ),
    ("/buzonera.v1.Mover/Prepare", &[Tier::Directory]),
    ("/buzonera.v1.Mover/Fence", &[Tier::Directory]),
    ("/buzonera.v1.Mover/Import", &[Tier::Directory]),
    ("/buzonera.v1.Mover/Digest", &[Tier::Directory]),
    ("/buzonera.v1.Mover/Export", &[Tier::Storage]),
    ("/buzonera.v1.SpoolAdmin/List", &[Tier::Admin]),
    ("/buzonera.v1.SpoolAdmin/Show", &[Tier::Admin]),
    ("/buzonera.v1.SpoolAdmin/Retry", &[Tier::Admin]),
    ("/buzonera.v1.SpoolAdmin/DeadLetters", &[Tier::Admin]),
    ("/buzonera.v1.SpoolAdmin/Remove", &[Tier::Admin]),
    ("/buzonera.v1.SpoolAdmin/Cordon", OPERATORS),
    ("/buzonera.v1.SpoolAdmin/Status", OPERATORS),
];

/// Whoever keeps the cluster as it is described; an administrator may do all that an operator may.
const OPERATORS: &[Tier] = &[Tier::Operator, Tier::Admin];

/// Lets a call pass when the table allows it; what is not in the table is allowed to nobody. The
/// RPC server asks before it looks for a handler, so that none can forget it.
pub(crate) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    let (identity, method) = (caller(&request)?, method(&request));
    if allowed(method).contains(&identity.tier()) {
        return Ok(request);
    }
    tracing::warn!(caller = %identity, method, "call refused: not allowed for this tier");
    Err(Status::permission_denied(format!(
        "{identity} may not call {method}"
    )))
}

/// The tiers that may call a method.
pub fn allowed(method: &str) -> &'static [Tier] {
    let row = TABLE.iter().find(|(known, _)| *known == method);
    row.map_or(&[], |(_, tiers)| tiers)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_method_has_one_row_and_unknown_ones_none() {
        let methods: HashSet<_> = TABLE.iter().map(|(method, _)| method).collect();
        assert_eq!(methods.len(), TABLE.len());
        assert!(TABLE.iter().all(|(_, tiers)| !tiers.is_empty()));
        assert!(allowed("/buzonera.v1.Admin/Strange").is_empty());
        assert!(allowed("").is_empty());
    }

    #[test]
    fn nobody_may_call_nothing() {
        let status = check(Request::new(())).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
    }
}
