//! Who may call what: one table, read from the identity in the caller's certificate.

use tonic::{Request, Status};
use wire::identity::Tier;

/// Every method that a directory serves, and the tiers that may call it.
pub const TABLE: &[(&str, &[Tier])] = &[
    (
        "/buzonera.v1.Directory/Resolve",
        &[Tier::Mx, Tier::Proxy, Tier::Admin],
    ),
    ("/buzonera.v1.Directory/Authenticate", &[Tier::Proxy]),
    ("/buzonera.v1.Directory/FollowShards", &[Tier::Mx]),
    ("/buzonera.v1.Registry/AcquireLease", &[Tier::Storage]),
    ("/buzonera.v1.Registry/RenewLease", &[Tier::Storage]),
    ("/buzonera.v1.Registry/TellVolume", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Watch", &[Tier::Storage]),
    ("/buzonera.v1.Registry/Confirm", &[Tier::Storage]),
    ("/buzonera.v1.Admin/AddDomain", &[Tier::Admin]),
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
    ("/buzonera.v1.Admin/ListMoves", &[Tier::Admin]),
    ("/buzonera.v1.Admin/AbortMove", &[Tier::Admin]),
    ("/buzonera.v1.Admin/Status", &[Tier::Admin]),
];

/// Lets a call pass when the table allows it; what is not in the table is allowed to nobody. An
/// interceptor of every service, so that no handler can forget it.
pub(crate) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    kit::rpc::require(&request, allowed(kit::rpc::method(&request)))?;
    Ok(request)
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
}
