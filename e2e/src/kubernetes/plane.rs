//! The API of a Kubernetes without nodes: objects are taken, checked, kept and collected, and no pod
//! runs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::access::Access;
use super::flags::{self, flag};
use super::pki::{Pki, kubeconfig};
use super::programs;
use crate::process::Process;
use crate::{ports, wait};

/// For a program to answer, on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How much of the log of a program that does not start is shown.
const TAIL: usize = 4000;
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
        let port = ports::free()?;
        let pki = Pki::create(folder.join("pki"))?;
        pki.server("apiserver", &[Ipv4Addr::LOCALHOST])?;
        pki.client(ADMIN, "system:masters")?;
        let access = Access::new(folder);
        let server = format!("https://127.0.0.1:{port}");
        fs::write(access.kubeconfig(), kubeconfig(&pki, ADMIN, &server))?;
        let (store, peer) = (local(ports::free()?), local(ports::free()?));
        let store_flags = flags::etcd(&folder.join("etcd"), &store, &peer);
        let etcd = Process::start("etcd", folder, &programs::etcd()?, store_flags)?;
        let api_flags = apiserver(pki.folder(), &store, port);
        let mut apiserver = run("kube-apiserver", folder, &api_flags)?;
        ready(&access, &mut apiserver).await?;
        let controllers = flags::controllers(pki.folder(), &access.kubeconfig());
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

/// Without nodes nobody reaches it but by loopback, which is no address to announce: so it does not.
fn apiserver(pki: &Path, store: &str, port: u16) -> Vec<String> {
    let mut flags = flags::apiserver(pki, store);
    flags.extend([
        flag("bind-address", "127.0.0.1"),
        flag("advertise-address", "127.0.0.1"),
        flag("endpoint-reconciler-type", "none"),
        flag("secure-port", port),
        flag("authorization-mode", "RBAC"),
    ]);
    flags
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
