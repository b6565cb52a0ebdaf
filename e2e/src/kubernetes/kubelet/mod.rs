//! A kubelet without containers: it runs the programs of a namespace's pods as plain processes, each
//! on a loopback address of its own.
//!
//! Pods are made by Kubernetes' own controllers, and nobody schedules them. What a container would
//! see is laid out in a folder ([`container`]): Secrets and ConfigMaps as files, volumes as small disks
//! of their own. In the program's flags the container's folders and addresses are replaced by those;
//! names of pods are found in an `/etc/hosts` that only these processes see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use tokio::time::sleep;

use super::Access;
use crate::disk::Disk;
use crate::process::Process;
use status::{probe, tell, tell_unpulled};

mod container;
mod status;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// Runs until it is dropped; all its processes end then.
pub struct Kubelet {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    folder: PathBuf,
}

impl Kubelet {
    /// Runs the pods of a namespace, on addresses of 127.NET.0.0/16; volumes and logs are in
    /// `folder`, programs in `programs`.
    pub fn start(
        access: &Access,
        namespace: &str,
        net: u8,
        folder: &Path,
        programs: &Path,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (access, until) = (access.clone(), Arc::clone(&stop));
        let mut node = Node {
            namespace: namespace.to_owned(),
            net,
            folder: folder.to_owned(),
            programs: programs.to_owned(),
            running: BTreeMap::new(),
            unpulled: BTreeSet::new(),
            disks: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let Ok(client) = access.client().await else {
                    return;
                };
                while !until.load(Ordering::Relaxed) {
                    if let Err(error) = node.look(&client).await {
                        tracing::debug!(%error, "a look failed");
                    }
                    sleep(EVERY).await;
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("kubelet".to_owned())
            .spawn(run)?;
        Ok(Self {
            stop,
            thread: Some(thread),
            folder: folder.to_owned(),
        })
    }

    /// A folder that a pod has mounted, by its volume's name.
    pub fn folder_of(&self, pod: &str, volume: &str) -> PathBuf {
        self.folder.join(pod).join(volume)
    }

    /// The ends of its pods' logs, for a failure's report.
    pub fn dump(&self) -> String {
        let mut dump = String::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                let text = fs::read(&path).unwrap_or_default();
                let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(3000)..]);
                dump += &format!("--- {}\n{tail}\n", path.display());
            }
        }
        dump
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed by its thread.
            let _ = thread.join();
        }
    }
}

struct Node {
    namespace: String,
    net: u8,
    folder: PathBuf,
    programs: PathBuf,
    running: BTreeMap<String, Running>,
    /// Pods whose image is nowhere, by uid.
    unpulled: BTreeSet<String>,
    /// By claim.
    disks: BTreeMap<String, Disk>,
    /// By pod; kept, so that a pod that comes back is where it was.
    addresses: BTreeMap<String, Ipv4Addr>,
}

struct Running {
    uid: String,
    process: Process,
    is_ready: bool,
}

impl Node {
    async fn look(&mut self, client: &Client) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let ours = ListParams::default().labels("buzonera.dev/cluster");
        let found = pods.list(&ours).await?.items;
        let is_there = |name: &str, running: &Running| {
            let same =
                |pod: &Pod| pod.name_any() == name && pod.uid().as_deref() == Some(&running.uid);
            found.iter().any(same)
        };
        self.running.retain(|name, running| is_there(name, running));
        self.hosts(&found)?;
        for pod in found
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            if let Err(error) = self.keep(client, &pods, pod).await {
                tracing::debug!(
                    pod = pod.name_any(),
                    error = format!("{error:#}"),
                    "not yet"
                );
            }
        }
        Ok(())
    }

    fn address(&mut self, pod: &str) -> Ipv4Addr {
        let next = u8::try_from(self.addresses.len() + 1).unwrap_or(u8::MAX);
        let net = self.net;
        *self
            .addresses
            .entry(pod.to_owned())
            .or_insert_with(|| Ipv4Addr::new(127, net, 0, next))
    }

    /// Written in place: processes see it through a mount of the file.
    fn hosts(&mut self, pods: &[Pod]) -> Result<()> {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for pod in pods {
            let address = self.address(&pod.name_any());
            let spec = pod.spec.as_ref();
            if let Some(service) = spec.and_then(|spec| spec.subdomain.as_ref()) {
                hosts += &format!("{address} {}.{service}\n", pod.name_any());
            }
        }
        let file = self.folder.join("hosts");
        if fs::read_to_string(&file).unwrap_or_default() != hosts {
            fs::write(file, hosts)?;
        }
        Ok(())
    }

    async fn keep(&mut self, client: &Client, pods: &Api<Pod>, pod: &Pod) -> Result<()> {
        let name = pod.name_any();
        let address = self.address(&name);
        let folders = self.lay_out(client, pod).await?;
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let container = container.context("a pod without a container")?;
        if !is_built(container) {
            // Said once.
            if self.unpulled.insert(pod.uid().unwrap_or_default()) {
                tell_unpulled(pods, &name, container).await?;
            }
            return Ok(());
        }
        let has_ended = self
            .running
            .get_mut(&name)
            .is_none_or(|it| !it.process.is_running());
        if has_ended {
            let process = self
                .begin(client, pod, container, address, &folders)
                .await?;
            let uid = pod.uid().unwrap_or_default();
            let running = Running {
                uid,
                process,
                is_ready: false,
            };
            self.running.insert(name.clone(), running);
            tell(pods, &name, address, false).await?;
        }
        let is_ready = probe(container, address).await;
        if let Some(running) = self.running.get_mut(&name)
            && running.is_ready != is_ready
        {
            tell(pods, &name, address, is_ready).await?;
            running.is_ready = is_ready;
        }
        Ok(())
    }
}

/// Of our images there are those of this tree's version.
fn is_built(container: &Container) -> bool {
    let image = container.image.as_deref().unwrap_or_default();
    container.name == "etcd" || image.ends_with(concat!(":", env!("CARGO_PKG_VERSION")))
}
