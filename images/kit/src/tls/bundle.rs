//! Which CAs are trusted: whoever changes them waits until every process says that it has the new.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use ring::digest::{Context, SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::LoadError;
use super::files;
use super::reload::WHAT;
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// The fingerprint of a PEM bundle: SHA-256 over its certificates in their order, in hexadecimal.
/// Comments and line ends of the file make no difference; `None` for text without a certificate.
pub fn fingerprint(pem: &str) -> Option<String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = found.ok().filter(|found| !found.is_empty())?;
    Some(fingerprint_of(&certificates))
}

fn fingerprint_of(certificates: &[CertificateDer<'_>]) -> String {
    let mut context = Context::new(&SHA256);
    for certificate in certificates {
        context.update(certificate);
    }
    let octets = context.finish();
    octets.as_ref().iter().map(|o| format!("{o:02x}")).collect()
}

/// The fingerprint of the bundle in use; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    gauge: Family<Labels, Gauge>,
    current: Arc<Mutex<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// Of the bundle.
    fingerprint: String,
}

impl Bundle {
    /// See [`fingerprint`].
    pub fn fingerprint(&self) -> String {
        self.current.lock().clone()
    }

    /// Adds the gauge, `NAME_bundle{fingerprint}`, to a registry.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        registry.register(
            format!("{name}_bundle"),
            "1 for the fingerprint (SHA-256) of the CA bundle in use",
            self.gauge.clone(),
        );
    }

    pub(super) fn note(&self, certificates: &[CertificateDer<'_>]) {
        let fingerprint = fingerprint_of(certificates);
        let mut current = self.current.lock();
        if *current == fingerprint {
            return;
        }
        self.gauge.clear();
        let labels = Labels {
            fingerprint: fingerprint.clone(),
        };
        self.gauge.get_or_create(&labels).set(1);
        *current = fingerprint;
    }
}

/// A bundle that something else reads from disk for each new connection; it is only looked at.
#[derive(Debug, Clone)]
pub struct BundleFile {
    path: Arc<PathBuf>,
    first_stamp: Stamp,
    bundle: Bundle,
    counts: Counts,
}

impl BundleFile {
    /// Reads it.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let first_stamp = reload::stamp(path);
        let this = Self {
            path: Arc::new(path.to_owned()),
            first_stamp,
            bundle: Bundle::default(),
            counts: Counts::default(),
        };
        this.reload()?;
        Ok(this)
    }

    /// Its fingerprint.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Adds gauge and counters to a registry, under this name.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        self.bundle.register(name, registry);
        self.counts.register(name, WHAT, registry);
    }

    /// Looks at it every [`super::RELOAD_INTERVAL`] until `shutdown` closes.
    pub fn watch(&self, shutdown: &Shutdown) {
        reload::watch(self.clone(), super::RELOAD_INTERVAL, shutdown.clone());
    }
}

impl Source for BundleFile {
    type Error = LoadError;
    const WHAT: &'static str = WHAT;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        vec![self.first_stamp]
    }

    fn stamps(&self) -> Vec<Stamp> {
        vec![reload::stamp(&self.path)]
    }

    fn reload(&self) -> Result<(), LoadError> {
        self.bundle.note(&files::load_certificates(&self.path)?);
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use wire::ids::ClusterId;

    use super::*;
    use crate::authority::Authority;

    #[test]
    fn a_fingerprint_is_of_the_certificates_in_their_order() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = Authority::create(one.path(), ClusterId::random()).unwrap();
        let other = Authority::create(other.path(), ClusterId::random()).unwrap();
        let both = format!("{}{}", one.ca_pem(), other.ca_pem());
        let reversed = format!("{}\n# text\n{}", other.ca_pem(), one.ca_pem());
        let commented = format!("# the old one\n{}", one.ca_pem());
        let plain = fingerprint(one.ca_pem()).unwrap();
        assert_eq!(plain.len(), 64);
        assert_eq!(fingerprint(&commented).unwrap(), plain);
        assert_ne!(fingerprint(&both), fingerprint(&reversed));
        assert_eq!(fingerprint(""), None);
    }

    #[test]
    fn only_the_bundle_in_use_has_a_gauge() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), ClusterId::random()).unwrap();
        let path = folder.path().join("ca.pem");
        let file = BundleFile::load(&path).unwrap();
        let mut registry = Registry::default();
        file.register("store_identity", &mut registry);
        let first = file.bundle().fingerprint();
        std::fs::write(&path, authority.ca_pem().repeat(2)).unwrap();
        file.reload().unwrap();
        let second = file.bundle().fingerprint();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("store_identity_bundle{{fingerprint=\"{second}\"}} 1");
        assert!(text.contains(&line) && !text.contains(&first), "{text}");
    }
}
