//! The API of a Kubernetes without nodes: objects are taken, checked, kept and collected, and no pod
//! runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::access::Access;
use super::pki::{Pki, kubeconfig};
use super::programs;
use crate::process::Process;
use crate::{ports, wait};

/// For a program to answer, on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How much of the log of a program that does not start is shown.
const TAIL: usize = 4000;
/// Addresses for Services, of the range for tests of networks (RFC 2544); nobody answers there.
const SERVICES: &str = "198.19.0.0/17";
/// The user that the programs and the tests are.
const ADMIN: &str = "admin";

/// Its processes. They end with this value.
pub struct Plane {
    access: Access,
    // In the order in which they are to end: fields are dropped from the first to the last.
    _controllers: Process,
    _apiserver: Process,
    _etcd: Process,
}

impl Plane {
    /// Starts one in a folder and waits until it answers. Call it from a thread that lives as long
    /// as it is to live (see [`Process::start`]).
    pub async fn start(folder: &Path) -> Result<Self> {
        let (store, port) = (ports::free()?, ports::free()?);
        let pki = Pki::create(folder.join("pki"))?;
        pki.server("apiserver")?;
        pki.client(ADMIN, "system:masters")?;
        let access = Access::new(folder);
        let server = format!("https://127.0.0.1:{port}");
        fs::write(access.kubeconfig(), kubeconfig(&pki, ADMIN, &server))?;
        let store_flags = etcd(folder, store)?;
        let etcd = Process::start("etcd", folder, &programs::etcd()?, store_flags)?;
        let mut apiserver = run("kube-apiserver", folder, &apiserver(&pki, store, port))?;
        ready(&access, &mut apiserver).await?;
        let controllers = controllers(&pki, &access);
        Ok(Self {
            _controllers: run("kube-controller-manager", folder, &controllers)?,
            _apiserver: apiserver,
            _etcd: etcd,
            access,
        })
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }
}

fn run(name: &str, folder: &Path, flags: &[String]) -> Result<Process> {
    Process::start(name, folder, &programs::path(name)?, flags)
}

/// Nothing of it outlives the test, so it need not wait for the disk.
fn etcd(folder: &Path, client: u16) -> Result<Vec<String>> {
    let (client, peer) = (local(client), local(ports::free()?));
    Ok(vec![
        flag("data-dir", folder.join("etcd").display()),
        flag("listen-client-urls", &client),
        flag("advertise-client-urls", &client),
        flag("listen-peer-urls", &peer),
        flag("initial-advertise-peer-urls", &peer),
        flag("initial-cluster", format!("default={peer}")),
        "--unsafe-no-fsync".to_owned(),
    ])
}

/// Without nodes nobody reaches it but by loopback, which is no address to announce: so it does not.
fn apiserver(pki: &Pki, store: u16, port: u16) -> Vec<String> {
    let file = |name: &str| pki.file(name).display().to_string();
    vec![
        flag("etcd-servers", local(store)),
        flag("bind-address", "127.0.0.1"),
        flag("advertise-address", "127.0.0.1"),
        flag("endpoint-reconciler-type", "none"),
        flag("secure-port", port),
        flag("service-cluster-ip-range", SERVICES),
        flag("tls-cert-file", file("apiserver.crt")),
        flag("tls-private-key-file", file("apiserver.key")),
        flag("client-ca-file", file("ca.crt")),
        flag("authorization-mode", "RBAC"),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("service-account-key-file", file("tokens.pub")),
        flag("service-account-signing-key-file", file("tokens.key")),
    ]
}

fn controllers(pki: &Pki, access: &Access) -> Vec<String> {
    let file = |name: &str| pki.file(name).display().to_string();
    vec![
        flag("kubeconfig", access.kubeconfig().display()),
        flag("service-account-private-key-file", file("tokens.key")),
        flag("root-ca-file", file("ca.crt")),
        flag("leader-elect", false),
        // It would serve its health where another run's does.
        flag("secure-port", 0),
    ]
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Waits until the API server answers; should it end instead, its last words are the reason.
async fn ready(access: &Access, apiserver: &mut Process) -> Result<()> {
    let apiserver = std::cell::RefCell::new(apiserver);
    let outcome = wait::until("Kubernetes' API is ready", START, || async {
        let running = apiserver.borrow_mut().is_running();
        match running {
            false => Ok(Err(anyhow!("kube-apiserver ended"))),
            true => access.is_ready().await.map(Ok),
        }
    })
    .await
    .and_then(|outcome| outcome);
    outcome.with_context(|| apiserver.borrow().log_tail(TAIL))
}
