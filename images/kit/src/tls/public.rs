//! The certificates shown to mail clients and other mail servers.

mod chain;
mod folder;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use self::chain::{Chain, choose};
use super::client_ca::ClientCa;
use super::error::LoadError;
use super::provider;
use super::reload::{Reloads, WHAT};
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// Public certificate chains and their keys, in use; cheap to clone.
#[derive(Debug, Clone)]
pub struct PublicTls {
    folder: Arc<Path>,
    first_stamps: Arc<[Stamp]>,
    current: Current,
    reloads: Reloads,
}

impl PublicTls {
    /// Reads the chains and keys of a folder, in PEM form: `cert.pem` with `key.pem`, and any
    /// `NAME.cert.pem` with `NAME.key.pem`, 64 at most. A client is shown the one for the host that
    /// it names (RFC 6066 section 3), else the first. Their dates are not judged: a mail server with
    /// an expired certificate is better than none.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let first_stamps = folder::stamps(folder).into();
        let chains = folder::load(folder)?;
        let reloads = Reloads::default();
        note(&reloads, &chains);
        Ok(Self {
            folder: folder.into(),
            first_stamps,
            current: Current(Arc::new(RwLock::new(chains))),
            reloads,
        })
    }

    /// Reloads changed files until `shutdown` closes, looking every [`super::RELOAD_INTERVAL`].
    pub fn watch(&self, shutdown: &Shutdown) {
        self.watch_every(super::RELOAD_INTERVAL, shutdown);
    }

    /// As [`Self::watch`], looking every `interval`.
    pub fn watch_every(&self, interval: Duration, shutdown: &Shutdown) {
        reload::watch(self.clone(), interval, shutdown.clone());
    }

    /// Counters of reloads, to be registered with the tier's metrics.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// For listeners: TLS 1.2 and 1.3 (RFC 8314 section 4.1 asks for 1.2 at least), and no client
    /// certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.current.clone()));
        Arc::new(config)
    }

    /// Likewise, for clients that must show a certificate of `clients`.
    pub fn server_config_for(&self, clients: &ClientCa) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_client_cert_verifier(clients.verifier())
            .with_cert_resolver(Arc::new(self.current.clone()));
        // A resumed session would skip the check of the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

fn note(reloads: &Reloads, chains: &[Chain]) {
    let named = |chain: &Chain| (chain.file.display().to_string(), Arc::clone(&chain.pair));
    reloads.note_validity(chains.iter().map(named));
}

impl Source for PublicTls {
    type Error = LoadError;
    const WHAT: &'static str = WHAT;

    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        self.first_stamps.to_vec()
    }

    fn stamps(&self) -> Vec<Stamp> {
        folder::stamps(&self.folder)
    }

    fn reload(&self) -> Result<(), LoadError> {
        let chains = folder::load(&self.folder)?;
        note(&self.reloads, &chains);
        *self.current.0.write() = chains;
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.reloads.counts
    }

    fn report(&self) {
        self.reloads.report();
    }
}

#[derive(Debug, Clone)]
struct Current(Arc<RwLock<Vec<Chain>>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let can_verify = |pair: &CertifiedKey| pair.key.choose_scheme(schemes).is_some();
        let chains = self.0.read();
        let chain = choose(&chains, hello.server_name(), can_verify)?;
        Some(Arc::clone(&chain.pair))
    }
}
