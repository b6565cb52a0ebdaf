//! Refusals: a gRPC code, and a sentence that names what is wrong and what would work.

use tonic::Status;
use wire::address::{Canonical, Domain};
use wire::ids::{RequestId, ShardName};

use crate::store::{self, Unsure};

/// A field that cannot be read.
pub(super) fn invalid(field: &str, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {why}"))
}

/// The store did not do it.
pub(super) fn store(error: &store::Error) -> Status {
    if error.is_temporary() {
        return Status::unavailable(format!("{error}; try again"));
    }
    tracing::error!(%error, "the store refused an administrator's request");
    Status::internal(error.to_string())
}

/// The replica could not prove that it is current.
pub(super) fn unsure(unsure: &Unsure) -> Status {
    Status::unavailable(format!("{unsure}; try again"))
}

/// A stored record that cannot be read.
pub(super) fn corrupt(key: &str, error: &prost::DecodeError) -> Status {
    tracing::error!(key, %error, "a stored record cannot be read");
    Status::data_loss(format!("the stored record {key} cannot be read: {error}"))
}

/// Reads an address field.
pub(super) fn address(field: &str, text: &str) -> Result<Canonical, Status> {
    text.parse().map_err(|error| invalid(field, error))
}

/// Reads a domain field: a name, no address literal.
pub(super) fn domain(field: &str, text: &str) -> Result<Domain, Status> {
    let domain: Domain = text.parse().map_err(|error| invalid(field, error))?;
    if domain.is_literal() {
        return Err(invalid(field, "write a domain name, such as example.org"));
    }
    Ok(domain)
}

/// Reads a shard's name.
pub(super) fn shard(field: &str, text: &str) -> Result<ShardName, Status> {
    text.parse().map_err(|error| invalid(field, error))
}

/// Reads a request's id.
pub(super) fn request_id(octets: &[u8]) -> Result<RequestId, Status> {
    RequestId::from_slice(octets).map_err(|error| invalid("request_id", error))
}
