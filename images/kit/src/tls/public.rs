//! The certificate shown to mail clients and other mail servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::LoadError;
use super::files;
use super::provider;
use super::reload::{Reloads, WHAT};
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// A public certificate chain and its key, in use; cheap to clone. Asks for no client certificate.
#[derive(Debug, Clone)]
pub struct PublicTls {
    files: Arc<Files>,
    current: Current,
    reloads: Reloads,
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    first_stamps: Vec<Stamp>,
}

impl PublicTls {
    /// Reads a chain and its key, in PEM form. Its host names and dates are not judged: a mail
    /// server with an expired certificate is better than none.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, LoadError> {
        let first_stamps = vec![reload::stamp(cert), reload::stamp(key)];
        let pair = Arc::new(files::load_pair(cert, key)?);
        let reloads = Reloads::default();
        reloads.note_validity(&pair);
        Ok(Self {
            files: Arc::new(Files {
                cert: cert.to_owned(),
                key: key.to_owned(),
                first_stamps,
            }),
            current: Current(Arc::new(RwLock::new(pair))),
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

    /// For listeners: TLS 1.2 and 1.3 (RFC 8314 section 4.1 asks for 1.2 at least).
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.current.clone()));
        Arc::new(config)
    }
}

impl Source for PublicTls {
    type Error = LoadError;
    const WHAT: &'static str = WHAT;

    fn name(&self) -> String {
        self.files.cert.display().to_string()
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        self.files.first_stamps.clone()
    }

    fn stamps(&self) -> Vec<Stamp> {
        vec![
            reload::stamp(&self.files.cert),
            reload::stamp(&self.files.key),
        ]
    }

    fn reload(&self) -> Result<(), LoadError> {
        let pair = files::load_pair(&self.files.cert, &self.files.key)?;
        self.reloads.note_validity(&pair);
        self.current.replace(pair);
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.reloads.counts
    }

    fn report(&self) {
        self.reloads.report(&self.name());
    }
}

#[derive(Debug, Clone)]
struct Current(Arc<RwLock<Arc<CertifiedKey>>>);

impl Current {
    fn replace(&self, pair: CertifiedKey) {
        *self.0.write() = Arc::new(pair);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.read();
        Some(pair.clone())
    }
}
