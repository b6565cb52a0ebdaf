//! What can go wrong in every tier.

use crate::listener::BindError;
use crate::rpc::directory::BadReplica;
use crate::rpc::server::ServeError;
use crate::tls::LoadError;

/// Why a tier does not start, or ends, whichever it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] Box<LoadError>),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The list of directory replicas.
    #[error(transparent)]
    Directory(#[from] BadReplica),
    /// The RPC server.
    #[error(transparent)]
    Serve(#[from] ServeError),
}
