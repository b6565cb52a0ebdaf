//! What a container would see, for a process beside others.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PersistentVolumeClaim, Pod, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use super::Node;
use crate::disk::Disk;
use crate::places;
use crate::process::Process;

/// MiB of a volume, whatever its claim says.
const VOLUME: u64 = 1024;

impl Node {
    /// The pod's volumes as folders: the container's path, and ours.
    pub(super) async fn lay_out(
        &mut self,
        client: &Client,
        pod: &Pod,
    ) -> Result<Vec<(String, PathBuf)>> {
        let spec = pod.spec.as_ref().context("a pod without a spec")?;
        let mut sources = BTreeMap::new();
        for volume in spec.volumes.iter().flatten() {
            let place = self.folder.join(pod.name_any()).join(&volume.name);
            let place = if let Some(claim) = &volume.persistent_volume_claim {
                let claims: Api<PersistentVolumeClaim> =
                    Api::namespaced(client.clone(), &self.namespace);
                claims.get(&claim.claim_name).await?;
                self.disk(&claim.claim_name).await?
            } else if let Some(secret) = &volume.secret {
                let name = secret.secret_name.as_deref().unwrap_or_default();
                let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
                let data = secrets.get(name).await?.data.unwrap_or_default();
                let files = data.into_iter().map(|(name, octets)| (name, octets.0));
                write_files(&place, files)?;
                place
            } else if let Some(map) = &volume.config_map {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &self.namespace);
                let data = maps.get(&map.name).await?.data.unwrap_or_default();
                let files = data
                    .into_iter()
                    .map(|(name, text)| (name, text.into_bytes()));
                write_files(&place, files)?;
                place
            } else {
                place
            };
            fs::create_dir_all(&place)?;
            sources.insert(volume.name.clone(), place);
        }
        let container = spec
            .containers
            .first()
            .context("a pod without a container")?;
        let mounts = container.volume_mounts.iter().flatten();
        let found = mounts.filter_map(|mount| {
            Some((mount.mount_path.clone(), sources.get(&mount.name)?.clone()))
        });
        Ok(found.collect())
    }

    /// It is there until the kubelet ends: a pod that comes back finds what it left.
    async fn disk(&mut self, claim: &str) -> Result<PathBuf> {
        if !self.disks.contains_key(claim) {
            let disk = Disk::mount(&self.folder, &format!("volume-{claim}"), VOLUME).await?;
            self.disks.insert(claim.to_owned(), disk);
        }
        let disk = self.disks.get(claim).context("no disk")?;
        Ok(disk.folder().join(format!("volume-{claim}")))
    }

    pub(super) async fn begin(
        &self,
        client: &Client,
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
        folders: &[(String, PathBuf)],
    ) -> Result<Process> {
        let env = self.environment(client, pod, container, address).await?;
        let flags = container.args.iter().flatten();
        let flags = flags.map(|flag| replaced(flag, address, folders, &env));
        let program = self.program(container)?;
        let hosts = self.folder.join("hosts");
        let mut line = vec![
            "--mount".to_owned(),
            "sh".to_owned(),
            "-c".to_owned(),
            "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && \
             exec setpriv --pdeathsig KILL -- env \"$@\""
                .to_owned(),
            hosts.display().to_string(),
        ];
        line.extend(env.iter().map(|(name, value)| {
            format!(
                "{name}={}",
                replaced(value, address, folders, &BTreeMap::new())
            )
        }));
        line.push(program.display().to_string());
        line.extend(flags);
        Process::start(&pod.name_any(), &self.folder, Path::new("unshare"), line)
    }

    fn program(&self, container: &Container) -> Result<PathBuf> {
        if container.name == "etcd" {
            return places::etcd().context("etcd 3.6 is missing");
        }
        Ok(self.programs.join(format!("buzonera-{}", container.name)))
    }

    async fn environment(
        &self,
        client: &Client,
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
    ) -> Result<BTreeMap<String, String>> {
        let mut env = BTreeMap::new();
        for variable in container.env.iter().flatten() {
            let source = variable.value_from.as_ref();
            let field = source.and_then(|source| source.field_ref.as_ref());
            let map = source.and_then(|source| source.config_map_key_ref.as_ref());
            let value = if let Some(field) = field {
                match field.field_path.as_str() {
                    "metadata.name" => pod.name_any(),
                    "status.podIP" => address.to_string(),
                    "spec.nodeName" => "node-0".to_owned(),
                    other => return Err(anyhow!("{other} is not known here")),
                }
            } else if let Some(reference) = map {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &self.namespace);
                let data = maps.get(&reference.name).await?.data.unwrap_or_default();
                data.get(&reference.key)
                    .context("a key is missing")?
                    .clone()
            } else {
                variable.value.clone().unwrap_or_default()
            };
            let value = expanded(&value, &env);
            env.insert(variable.name.clone(), value);
        }
        Ok(env)
    }
}

/// `$(NAME)` as Kubernetes expands it.
fn expanded(text: &str, env: &BTreeMap<String, String>) -> String {
    env.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("$({name})"), value)
    })
}

/// A flag as it is for a process beside others.
fn replaced(
    flag: &str,
    address: Ipv4Addr,
    folders: &[(String, PathBuf)],
    env: &BTreeMap<String, String>,
) -> String {
    let flag = expanded(flag, env);
    let flag = flag
        .replace("=*:", &format!("={address}:"))
        .replace("=127.0.0.1:", &format!("={address}:"))
        .replace("//0.0.0.0:", &format!("//{address}:"));
    let Some((name, value)) = flag.split_once('=') else {
        return flag;
    };
    let within = |(path, place): &(String, PathBuf)| {
        let rest = value.strip_prefix(path.as_str())?;
        let is_there = rest.is_empty() || rest.starts_with('/');
        is_there.then(|| format!("{name}={}{rest}", place.display()))
    };
    folders.iter().find_map(within).unwrap_or(flag)
}

/// Replaces what differs, each file at once.
fn write_files(place: &Path, files: impl Iterator<Item = (String, Vec<u8>)>) -> Result<()> {
    fs::create_dir_all(place)?;
    for (name, octets) in files {
        let file = place.join(&name);
        if fs::read(&file).ok().as_ref() != Some(&octets) {
            let new = place.join(format!(".{name}"));
            kit::authority::write_private(&new, &octets)?;
            fs::rename(new, file)?;
        }
    }
    Ok(())
}
