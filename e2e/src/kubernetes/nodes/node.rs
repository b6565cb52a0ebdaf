//! A node: a set of namespaces with everything that runs in them. All of it goes at once.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::addresses::{Net, pods};
use super::identity::Identity;
use super::plan::{Door, Plan, Program};
use super::state::group;
use super::switch::Switch;
use super::{add_ons, files, groups};
use crate::kubernetes::flags::{self, flag};
use crate::kubernetes::programs;
use crate::process::Process;
use crate::wait;

/// For a process to begin.
const START: Duration = Duration::from_secs(20);
/// Where etcd listens, on the first node.
const STORE: &str = "http://127.0.0.1:2379";
const PEER: &str = "http://127.0.0.1:2380";
/// Where the API server does.
const API_PORT: u16 = 6443;
/// The hidden command that becomes a node.
pub(super) const COMMAND: &str = "kubernetes-node";

/// What all nodes have in common.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The folder of it all.
    pub folder: PathBuf,
    /// How many nodes there are.
    pub nodes: u8,
    /// Its network.
    pub net: Net,
}

/// A node that runs. It ends with this value, or with this process.
pub(super) struct Node {
    // Its end is the end of the first process on the node.
    _unshare: Process,
    /// The first process on the node, which has all others under it.
    pub first: Identity,
}

impl Site {
    /// What node `index` is called.
    pub(super) fn name(index: u8) -> String {
        format!("node-{index}")
    }

    /// How the API server is reached, from anywhere.
    pub(super) fn server(&self) -> String {
        format!("https://{}:{API_PORT}", self.net.node(1))
    }

    /// Starts one, which may have been there before.
    pub(super) async fn start(&self, index: u8, switch: &Switch) -> Result<Node> {
        let name = Self::name(index);
        groups::make(&group(self.net, &name))?;
        let plan = self.write(index)?;
        let us = std::env::current_exe()?.display().to_string();
        let plan = plan.display().to_string();
        let arguments = [&UNSHARE[..], &[&us, COMMAND, &plan]].concat();
        let unshare = Process::start(&name, &self.folder, Path::new("unshare"), arguments)?;
        let first = wait::until(&format!("{name} begins"), START, || async {
            only_child(unshare.id())
        })
        .await?;
        // Its cable from before is gone a moment after its end.
        let plug_in = || async { switch.plug_in(&name, first.pid) };
        wait::until(&format!("{name} is plugged in"), START, plug_in).await?;
        Ok(Node {
            _unshare: unshare,
            first,
        })
    }

    /// Writes everything that the node reads; where its plan is.
    fn write(&self, index: u8) -> Result<PathBuf> {
        let name = Self::name(index);
        let folder = self.folder.join(&name);
        fs::create_dir_all(folder.join("cni"))?;
        let json = |file: &str, value: &Value| fs::write(folder.join(file), value.to_string());
        let groups = group(self.net, &name);
        json(
            "kubelet.json",
            &files::kubelet(&folder, &self.pki(), &name, &groups),
        )?;
        json("proxy.json", &files::proxy(&self.kubeconfig(), &name))?;
        json("cni/pods.conflist", &files::network(index))?;
        let containerd = files::containerd(&folder, &add_ons::pod_image());
        fs::write(folder.join("containerd.toml"), containerd)?;
        fs::write(folder.join("resolv.conf"), files::names())?;
        let plan = folder.join("plan.json");
        fs::write(
            &plan,
            serde_json::to_vec_pretty(&self.plan(index, folder)?)?,
        )?;
        Ok(plan)
    }

    fn plan(&self, index: u8, folder: PathBuf) -> Result<Plan> {
        let others = (1..=self.nodes).filter(|other| *other != index);
        let mut all = Vec::new();
        if index == 1 {
            all.extend(self.control_plane()?);
        }
        all.extend(self.workers(index, &folder)?);
        Ok(Plan {
            name: Self::name(index),
            folder,
            address: self.net.node(index),
            gateway: self.net.here(),
            routes: others
                .map(|other| (pods(other), self.net.node(other)))
                .collect(),
            programs: all,
        })
    }

    /// What runs on the first node alone.
    fn control_plane(&self) -> Result<Vec<Program>> {
        let etcd = flags::etcd(Path::new("/var/lib/etcd"), STORE, PEER);
        let mut controllers = flags::controllers(&self.pki(), &self.kubeconfig());
        controllers.extend([
            flag("use-service-account-credentials", true),
            flag("node-monitor-period", "1s"),
            flag("node-monitor-grace-period", "10s"),
        ]);
        let scheduler = vec![
            flag("kubeconfig", self.kubeconfig().display()),
            flag("leader-elect", false),
        ];
        let store = Door::Port((Ipv4Addr::LOCALHOST, 2379).into());
        Ok(vec![
            program("etcd", programs::etcd()?, etcd, &[]),
            ours("kube-apiserver", self.apiserver(), &[store])?,
            ours("kube-controller-manager", controllers, &[self.api()])?,
            ours("kube-scheduler", scheduler, &[self.api()])?,
        ])
    }

    fn apiserver(&self) -> Vec<String> {
        let file = |name: &str| self.pki().join(name).display().to_string();
        let mut all = flags::apiserver(&self.pki(), STORE);
        all.extend([
            flag("advertise-address", self.net.node(1)),
            flag("secure-port", API_PORT),
            flag("authorization-mode", "Node,RBAC"),
            flag("enable-admission-plugins", "NodeRestriction"),
            // Else `kubectl logs` and `exec` would look a node's name up.
            flag("kubelet-preferred-address-types", "InternalIP"),
            flag("kubelet-certificate-authority", file("ca.crt")),
            flag("kubelet-client-certificate", file("admin.crt")),
            flag("kubelet-client-key", file("admin.key")),
            flag("audit-policy-file", self.folder.join(POLICY).display()),
            flag("audit-log-path", self.folder.join(AUDIT).display()),
        ]);
        all
    }

    /// What runs on every node.
    fn workers(&self, index: u8, folder: &Path) -> Result<Vec<Program>> {
        let name = Self::name(index);
        let file = |name: &str| folder.join(name).display().to_string();
        let user = self.pki().join(format!("{name}.kubeconfig"));
        let containerd = vec!["--config".to_owned(), file("containerd.toml")];
        let kubelet = vec![
            flag("config", file("kubelet.json")),
            flag("kubeconfig", user.display()),
            flag("hostname-override", &name),
            flag("node-ip", self.net.node(index)),
        ];
        let proxy = vec![flag("config", file("proxy.json"))];
        let runtime = Door::Socket(files::CONTAINERD.into());
        Ok(vec![
            program("containerd", "containerd".into(), containerd, &[]),
            ours("kubelet", kubelet, &[runtime, self.api()])?,
            ours("kube-proxy", proxy, &[self.api()])?,
        ])
    }

    fn api(&self) -> Door {
        Door::Port((self.net.node(1), API_PORT).into())
    }

    fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }
}

/// The API server's notes, and what is to be in them.
pub(super) const AUDIT: &str = "audit.jsonl";
pub(super) const POLICY: &str = "audit.json";

/// Its own namespaces; whatever ends `unshare` ends the first process in them.
const UNSHARE: [&str; 10] = [
    "--kill-child",
    "--fork",
    "--pid",
    "--mount-proc",
    "--mount",
    // Volumes that are mounted later show up.
    "--propagation",
    "slave",
    "--net",
    "--uts",
    "--ipc",
];

fn ours(name: &str, arguments: Vec<String>, after: &[Door]) -> Result<Program> {
    Ok(program(name, programs::path(name)?, arguments, after))
}

fn program(name: &str, path: PathBuf, arguments: Vec<String>, after: &[Door]) -> Program {
    Program {
        name: name.to_owned(),
        path,
        arguments,
        after: after.to_vec(),
    }
}

fn only_child(pid: u32) -> Result<Identity> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next().context("no child yet")?;
    Identity::of(child.parse()?)
}
