//! A process's own certificate, key and CA bundle, used and replaced as one set.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use wire::identity::{Identity, Tier};

use super::error::LoadError;
use super::files;
use super::identity_files::IdentityFiles;
use super::peer::peer_identity;
use super::reload::{Reloads, WHAT};
use super::verify::{ExactPeer, SameCluster};
use super::{Bundle, provider, server_name};
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// An identity in use; cheap to clone.
///
/// The configurations made from it always work with the newest good set: connections that stand go
/// on with the old one, new ones use the new.
#[derive(Debug, Clone)]
pub struct Credentials {
    files: Arc<IdentityFiles>,
    identity: Arc<Identity>,
    first_stamps: Arc<Vec<Stamp>>,
    current: Current,
    reloads: Reloads,
    bundle: Bundle,
}

impl Credentials {
    /// Reads an identity, given by its folder or its files. The certificate must name an identity,
    /// fit its key, and be valid now under the bundle beside it.
    pub fn load(files: impl Into<IdentityFiles>) -> Result<Self, LoadError> {
        let files = files.into();
        let first_stamps = Arc::new(files.stamps());
        let bundle = Bundle::default();
        let set = Set::load(&files)?;
        bundle.note(&set.certificates);
        let identity = Arc::new(set.identity.clone());
        let reloads = Reloads::default();
        set.note_validity(&reloads);
        Ok(Self {
            files: Arc::new(files),
            identity,
            first_stamps,
            current: Current::new(set),
            reloads,
            bundle,
        })
    }

    /// As [`Self::load`], and it must be an instance of `tier`.
    pub fn load_for(tier: Tier, files: impl Into<IdentityFiles>) -> Result<Self, LoadError> {
        let credentials = Self::load(files)?;
        if credentials.identity.tier() == tier {
            return Ok(credentials);
        }
        Err(LoadError::Tier {
            path: credentials.files.cert.clone(),
            expected: tier,
            found: Identity::clone(&credentials.identity),
        })
    }

    /// Who this process is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Another identity of the same cluster; fails when `instance` is not a DNS label.
    pub fn peer(
        &self,
        tier: Tier,
        instance: &str,
    ) -> Result<Identity, wire::identity::IdentityError> {
        Identity::new(self.identity.cluster(), tier, instance)
    }

    /// Reloads changed files until `shutdown` closes, looking every [`super::RELOAD_INTERVAL`].
    pub fn watch(&self, shutdown: &Shutdown) {
        self.watch_every(super::RELOAD_INTERVAL, shutdown);
    }

    /// As [`Self::watch`], looking every `interval`.
    pub fn watch_every(&self, interval: Duration, shutdown: &Shutdown) {
        reload::watch(self.clone(), interval, shutdown.clone());
    }

    /// Adds the counters of reloads and the bundle's fingerprint to a tier's metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.reloads.register(METRICS, registry);
        self.bundle.register(METRICS, registry);
    }

    /// The CA bundle in use.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Counters of reloads.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// For listeners: TLS 1.3, a client certificate of the same cluster required.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let verifier = Arc::new(SameCluster {
            current: self.current.clone(),
        });
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has TLS 1.3 suites")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(self.current.clone()));
        // A resumed session would skip the check of the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// For calls: TLS 1.3, shows our certificate, and the peer must be exactly `expect`. Connect
    /// with [`super::server_name`], which every certificate of ours carries.
    pub fn client_config(&self, expect: &Identity) -> Arc<ClientConfig> {
        let verifier = Arc::new(ExactPeer {
            current: self.current.clone(),
            expect: expect.clone(),
        });
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has TLS 1.3 suites")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(self.current.clone()));
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// What metrics of an identity begin with.
const METRICS: &str = "identity";

impl Source for Credentials {
    type Error = LoadError;
    const WHAT: &'static str = WHAT;

    fn name(&self) -> String {
        self.identity.to_string()
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        self.first_stamps.to_vec()
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.stamps()
    }

    fn reload(&self) -> Result<(), LoadError> {
        let set = Set::load(&self.files)?;
        if set.identity != *self.identity {
            return Err(LoadError::Changed {
                path: self.files.cert.clone(),
                expected: Identity::clone(&self.identity),
                found: set.identity,
            });
        }
        set.note_validity(&self.reloads);
        self.bundle.note(&set.certificates);
        self.current.replace(set);
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.reloads.counts
    }

    fn report(&self) {
        self.reloads.report();
    }
}

/// What belongs together: never a new certificate with an old key or bundle.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) identity: Identity,
    /// Of the bundle.
    certificates: Vec<CertificateDer<'static>>,
    pub(super) pair: Arc<CertifiedKey>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    pub(super) servers: Arc<WebPkiServerVerifier>,
}

impl Set {
    fn note_validity(&self, reloads: &Reloads) {
        let named = (self.identity.to_string(), Arc::clone(&self.pair));
        reloads.note_validity(std::iter::once(named));
    }

    fn load(files: &IdentityFiles) -> Result<Self, LoadError> {
        let IdentityFiles { ca, cert, key } = files;
        let certificates = files::load_certificates(ca)?;
        let roots = Arc::new(files::roots(&certificates, ca)?);
        let pair = files::load_pair(cert, key)?;
        let identity = peer_identity(&pair.cert).map_err(|source| LoadError::Identity {
            path: cert.clone(),
            source,
        })?;
        let (clients, servers) = verifiers(roots, ca)?;
        check_own_chain(&servers, &pair, cert)?;
        Ok(Self {
            identity,
            certificates,
            pair: Arc::new(pair),
            clients,
            servers,
        })
    }
}

type Verifiers = (Arc<dyn ClientCertVerifier>, Arc<WebPkiServerVerifier>);

fn verifiers(roots: Arc<RootCertStore>, ca: &Path) -> Result<Verifiers, LoadError> {
    let refused = |error: rustls::server::VerifierBuilderError| LoadError::Tls {
        path: ca.to_owned(),
        source: rustls::Error::General(error.to_string()),
    };
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(refused)?;
    let servers = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(refused)?;
    Ok((clients, servers))
}

/// Our own certificate, seen as a peer would see it: a set that nobody would accept is not taken.
fn check_own_chain(
    servers: &WebPkiServerVerifier,
    pair: &CertifiedKey,
    path: &Path,
) -> Result<(), LoadError> {
    let (leaf, intermediates) = match pair.cert.split_first() {
        Some(parts) => parts,
        None => return Err(files::no_pem(path, "certificate")),
    };
    servers
        .verify_server_cert(leaf, intermediates, &server_name(), &[], UnixTime::now())
        .map(|_| ())
        .map_err(|source| LoadError::Chain {
            path: path.to_owned(),
            source,
        })
}

/// The newest good set, shared by every configuration made from it.
#[derive(Debug, Clone)]
pub(super) struct Current(Arc<RwLock<Arc<Set>>>);

impl Current {
    fn new(set: Set) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(set))))
    }

    pub(super) fn get(&self) -> Arc<Set> {
        self.0.read().clone()
    }

    fn replace(&self, set: Set) {
        *self.0.write() = Arc::new(set);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().pair.clone())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get().pair.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
