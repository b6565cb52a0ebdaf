//! Where an identity lies on disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::lifecycle::Shutdown;
use crate::reload::{self, Stamp};

/// Name of the CA bundle in an identity folder.
pub(crate) const CA: &str = "ca.pem";
/// Name of the certificate chain.
pub(crate) const CERT: &str = "cert.pem";
/// Name of the private key.
pub(crate) const KEY: &str = "key.pem";

/// The three files of an identity, in PEM form.
///
/// A folder holds one identity, `cert.pem` and `key.pem`, or those of several instances,
/// `NAME.cert.pem` and `NAME.key.pem`; `ca.pem` is everybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The CA bundle.
    pub ca: PathBuf,
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How long files that are not there are waited for: a Secret that was written after the pod began
/// shows in its volume within about a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

impl IdentityFiles {
    /// Those of `instance`, or of the folder's only identity.
    pub fn new(folder: &Path, instance: Option<&str>) -> Self {
        let file = |name: &str| match instance {
            Some(instance) => folder.join(format!("{instance}.{name}")),
            None => folder.join(name),
        };
        Self {
            ca: folder.join(CA),
            cert: file(CERT),
            key: file(KEY),
        }
    }

    /// Returns once all are there; or after a minute, or when the process is to end: reading them
    /// says then what is missing.
    pub async fn wait(&self, shutdown: &Shutdown) {
        tokio::select! {
            () = self.appear(PATIENCE) => {}
            () = shutdown.triggered() => {}
        }
    }

    async fn appear(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut said = false;
        while let Some(missing) = self.missing().await {
            if Instant::now() >= deadline {
                return;
            }
            if !said {
                let file = missing.display();
                tracing::warn!(%file, ?patience, "waiting for the identity's files");
                said = true;
            }
            sleep(LOOK).await;
        }
    }

    /// A file that is not there; one that cannot be looked at is reported by whoever reads it.
    async fn missing(&self) -> Option<&Path> {
        for path in [&self.ca, &self.cert, &self.key] {
            if let Ok(false) = tokio::fs::try_exists(path).await {
                return Some(path);
            }
        }
        None
    }

    pub(super) fn stamps(&self) -> Vec<Stamp> {
        [&self.ca, &self.cert, &self.key]
            .map(|path| reload::stamp(path))
            .to_vec()
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for IdentityFiles {
    /// A folder with one identity.
    fn from(folder: &P) -> Self {
        Self::new(folder.as_ref(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_identity_or_one_for_each_instance() {
        let one = IdentityFiles::from("id");
        assert_eq!(one.cert, Path::new("id/cert.pem"));
        let named = IdentityFiles::new(Path::new("id"), Some("mx-0"));
        assert_eq!(named.ca, Path::new("id/ca.pem"));
        assert_eq!(named.cert, Path::new("id/mx-0.cert.pem"));
        assert_eq!(named.key, Path::new("id/mx-0.key.pem"));
    }

    #[tokio::test]
    async fn files_that_come_late_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::from(&folder);
        let waiting = tokio::spawn({
            let files = files.clone();
            async move { files.appear(PATIENCE).await }
        });
        for path in [&files.ca, &files.key, &files.cert] {
            assert!(!waiting.is_finished());
            std::fs::write(path, "").unwrap();
        }
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let start = Instant::now();
        IdentityFiles::from(&folder).appear(LOOK).await;
        assert!(start.elapsed() >= LOOK);
    }

    #[tokio::test]
    async fn a_process_that_is_to_end_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let shutdown = Shutdown::new(Duration::ZERO, Duration::ZERO);
        shutdown.trigger();
        IdentityFiles::from(&folder).wait(&shutdown).await;
    }
}
