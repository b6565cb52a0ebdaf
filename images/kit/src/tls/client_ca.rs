//! Clients from outside that show a certificate of a CA that somebody names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::error::LoadError;
use super::{files, provider};
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// The CA of clients, by its file; cheap to clone. As long as there is no good file, no client is
/// let in; once there was one, it holds until there is another.
#[derive(Debug, Clone)]
pub struct ClientCa {
    file: Arc<Path>,
    first_stamps: Arc<[Stamp]>,
    trusted: Trusted,
    counts: Counts,
}

/// Who verifies now, if anybody can.
#[derive(Debug, Clone, Default)]
pub(super) struct Trusted(Arc<RwLock<Option<Arc<dyn ClientCertVerifier>>>>);

/// What is reloaded, in logs and help texts.
const WHAT: &str = "CA of clients";

impl ClientCa {
    /// Reads the file, in PEM form with one CA or more. That it is missing, or no good, is said in
    /// the log and keeps nobody from starting: what else the process does has nothing to do with it.
    pub fn open(file: &Path) -> Self {
        let this = Self {
            file: file.into(),
            first_stamps: [reload::stamp(file)].into(),
            trusted: Trusted::default(),
            counts: Counts::default(),
        };
        if let Err(error) = this.reload() {
            tracing::error!(%error, "no client is let in that needs a certificate");
        }
        this
    }

    /// Reloads the file when it changes until `shutdown` closes, looking every
    /// [`super::RELOAD_INTERVAL`].
    pub fn watch(&self, shutdown: &Shutdown) {
        self.watch_every(super::RELOAD_INTERVAL, shutdown);
    }

    /// As [`Self::watch`], looking every `interval`.
    pub fn watch_every(&self, interval: Duration, shutdown: &Shutdown) {
        reload::watch(self.clone(), interval, shutdown.clone());
    }

    /// Adds the counters of reloads to a registry, under the given name.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        self.counts.register(name, WHAT, registry);
    }

    /// Changed files that were refused since the start.
    pub fn failed(&self) -> u64 {
        self.counts.failed.get()
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(self.trusted.clone())
    }
}

impl Source for ClientCa {
    type Error = LoadError;
    const WHAT: &'static str = WHAT;

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        self.first_stamps.to_vec()
    }

    fn stamps(&self) -> Vec<Stamp> {
        vec![reload::stamp(&self.file)]
    }

    fn reload(&self) -> Result<(), LoadError> {
        let certificates = files::load_certificates(&self.file)?;
        let roots = Arc::new(files::roots(&certificates, &self.file)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|error| LoadError::Tls {
            path: self.file.to_path_buf(),
            source: Error::General(error.to_string()),
        })?;
        *self.trusted.0.write() = Some(verifier);
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl ClientCertVerifier for Trusted {
    /// No hints: a client that is to come in has one certificate and sends it anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = self.0.read().clone();
        let verifier = verifier.ok_or(CertificateError::UnknownIssuer)?;
        verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
