//! A namespace for each test, of the one Kubernetes that they share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow};
use e2e::kubernetes::{Access, Said, shared};
use e2e::{places, say};
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::api::PostParams;
use kube::{Api, Client};

/// For anything that the API server does in its own time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A namespace, and the way in.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) access: &'static Access,
}

impl Namespace {
    /// How Kubernetes is reached.
    pub(crate) fn access(&self) -> &'static Access {
        self.access
    }

    /// Runs `kubectl` there.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        self.access
            .kubectl(&[&["--namespace", &self.name], arguments].concat())
    }
}

/// Does what is to be tested in a namespace of that name, where our kinds are known; should it fail,
/// objects and logs are shown.
pub(crate) async fn in_namespace(name: &str, work: impl AsyncFnOnce(&Namespace) -> Result<()>) {
    in_namespace_of(kinds().unwrap(), name, work).await;
}

/// As [`in_namespace`], of another Kubernetes, where our kinds need not be known.
pub(crate) async fn in_namespace_of(
    access: &'static Access,
    name: &str,
    work: impl AsyncFnOnce(&Namespace) -> Result<()>,
) {
    let outcome = async {
        let client = access.client().await?;
        let mut object = Object::default();
        object.metadata.name = Some(name.to_owned());
        // Pods have no more rights than Buzonera's are to need.
        let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
        let restricted = [restricted].map(|(key, value)| (key.to_owned(), value.to_owned()));
        object.metadata.labels = Some(restricted.into());
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await?;
        let namespace = Namespace {
            name: name.to_owned(),
            client,
            access,
        };
        work(&namespace).await
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        say::line(&access.dump(name));
    }
    outcome.unwrap();
}

/// The chart's files with our definitions.
pub(crate) fn definitions() -> PathBuf {
    places::workspace().join("charts/buzonera/files")
}

/// Kubernetes, with our kinds installed as a person would do it.
fn kinds() -> Result<&'static Access> {
    static INSTALLED: OnceLock<Result<&'static Access, String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    installed
        .as_ref()
        .copied()
        .map_err(|error| anyhow!("{error}"))
}

fn install() -> Result<&'static Access> {
    let access = shared::access()?;
    let files = definitions().display().to_string();
    access.kubectl(&["create", "--filename", &files])?;
    let known = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "--all",
    ];
    access.kubectl(&known)?;
    Ok(access)
}
