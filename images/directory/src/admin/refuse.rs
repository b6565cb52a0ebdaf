//! Refusals: a gRPC code, and a sentence that names what is wrong and what would work.

use tonic::Status;
use wire::address::{Canonical, Domain};
use wire::answer::{NobodyKnows, Word};
use wire::ids::{RequestId, ShardName};

use crate::store;

/// A field that cannot be read.
pub(crate) fn invalid(field: &str, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {why}"))
}

/// The same request may do better later.
pub(super) fn again(why: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("{why}; try again"))
}

/// The store did not do it.
pub(crate) fn store(error: &store::Error) -> Status {
    if error.is_temporary() {
        return again(error);
    }
    tracing::error!(%error, "the store refused an administrator's request");
    Status::internal(error.to_string())
}

/// The replica could not prove that it is current.
pub(crate) fn unproven() -> Status {
    kit::rpc::unanswered(Word::NobodyKnows(NobodyKnows::Unproven))
}

/// A stored record that cannot be read.
pub(crate) fn corrupt(key: &str, error: &prost::DecodeError) -> Status {
    tracing::error!(key, %error, "a stored record cannot be read");
    Status::data_loss(format!("the stored record {key} cannot be read: {error}"))
}

/// Reads an address field.
pub(crate) fn address(field: &str, text: &str) -> Result<Canonical, Status> {
    text.parse().map_err(|error| invalid(field, error))
}

/// Reads a domain field: a name, no address literal.
pub(crate) fn domain(field: &str, text: &str) -> Result<Domain, Status> {
    let domain: Domain = text.parse().map_err(|error| invalid(field, error))?;
    if domain.is_literal() {
        return Err(invalid(field, "write a domain name, such as example.org"));
    }
    Ok(domain)
}

/// Reads a shard's name.
pub(crate) fn shard(field: &str, text: &str) -> Result<ShardName, Status> {
    text.parse().map_err(|error| invalid(field, error))
}

/// "1 account and 2 aliases": how many there are of what is in the way.
pub(crate) fn counted(things: &[(u64, &str, &str)]) -> String {
    let there = things.iter().filter(|(number, _, _)| *number > 0);
    let said = there.map(|(number, one, more)| {
        let noun = if *number == 1 { one } else { more };
        format!("{number} {noun}")
    });
    said.collect::<Vec<_>>().join(" and ")
}

/// Reads a request's id.
pub(crate) fn request_id(octets: &[u8]) -> Result<RequestId, Status> {
    RequestId::from_slice(octets).map_err(|error| invalid("request_id", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many_and_none_is_not_said() {
        let of = |accounts, aliases| {
            counted(&[
                (accounts, "account", "accounts"),
                (aliases, "alias", "aliases"),
            ])
        };
        assert_eq!(of(1, 0), "1 account");
        assert_eq!(of(0, 2), "2 aliases");
        assert_eq!(of(2, 1), "2 accounts and 1 alias");
    }
}
