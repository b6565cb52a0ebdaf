//! TLS: own identities inside the cluster, a public certificate outside, both reloaded from disk.
//!
//! Inside, every certificate has the constant DNS name [`SERVER_NAME`], which webpki insists on,
//! and exactly one URI, `spiffe://CLUSTER/TIER/INSTANCE`, which is who its holder is.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

mod bundle;
mod client_ca;
mod credentials;
mod error;
mod expiry;
mod files;
mod identity_files;
pub mod peer;
mod public;
mod reload;
mod verify;

pub use bundle::{Bundle, BundleFile, fingerprint};
pub use client_ca::ClientCa;
pub use credentials::Credentials;
pub use error::{LoadError, PeerError, explain};
pub use identity_files::IdentityFiles;
pub(crate) use identity_files::{CA, CERT, KEY};
pub use peer::peer_identity;
pub use public::PublicTls;
pub use reload::Reloads;

/// The DNS name in every certificate inside a cluster. The `.internal` top level is reserved for
/// private use (ICANN, 2024), so no public CA certifies it.
pub const SERVER_NAME: &str = "buzonera.internal";

/// How often files are looked at. A set is taken once it has stood still for one interval, so a
/// new certificate is in use within twice this; a look costs three stat calls.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// [`SERVER_NAME`] in the form that a TLS connector takes.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name")
}

/// The one crypto provider, named in every configuration so that no process-wide default matters.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
