//! Volumes: a disk for each claim, made when a pod that needs it has a node, and removed with it. It is
//! a file system in a file, which takes no more room than what is written there; the keeper mounts it
//! in a folder that all nodes see.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::commands::run;

/// As `e2e/add-ons/objects/storage.yaml` has them.
const CLASS: &str = "disks";
const PROVISIONER: &str = "e2e.buzonera.dev/disks";
/// The folder with all of them.
const VOLUMES: &str = "volumes";
/// Written by the scheduler, when it knows where the pod is to run.
const SELECTED: &str = "volume.kubernetes.io/selected-node";
/// Says whose a volume is.
const PROVISIONED: &str = "pv.kubernetes.io/provisioned-by";

/// Makes what is wanted, and removes what was let go.
pub(super) async fn look(client: &Client, folder: &Path) -> Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let known = volumes.list(&ListParams::default()).await?.items;
    for claim in claims.list(&ListParams::default()).await?.items {
        let Some(name) = wanted(&claim) else { continue };
        if known
            .iter()
            .all(|volume| volume.metadata.name.as_deref() != Some(&name))
        {
            let disk = Disk::of(folder, &name);
            disk.make(octets(&claim)?)?;
            let volume = volume(&claim, &name, &disk.place)?;
            volumes.create(&PostParams::default(), &volume).await?;
        }
    }
    for name in known.iter().filter_map(let_go) {
        Disk::of(folder, name).remove()?;
        volumes.delete(name, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// Unmounts them all: no node is there any more.
pub(super) fn end(folder: &Path) -> Result<()> {
    let volumes = folder.join(VOLUMES);
    if !volumes.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(volumes)? {
        if let Some(name) = entry?.file_name().to_str() {
            Disk::of(folder, name).unmount()?;
        }
    }
    Ok(())
}

/// A volume's disk.
struct Disk {
    /// Where it is mounted.
    place: PathBuf,
    /// What is on it.
    file: PathBuf,
}

impl Disk {
    fn of(folder: &Path, volume: &str) -> Self {
        let volumes = folder.join(VOLUMES);
        Self {
            place: volumes.join(volume),
            file: volumes.join(format!("{volume}.img")),
        }
    }

    /// Makes and mounts it, unless that was done and could not be told.
    fn make(&self, octets: u64) -> Result<()> {
        if self.is_mounted()? {
            return Ok(());
        }
        let file = self.file.display().to_string();
        fs::create_dir_all(&self.place)?;
        File::create(&self.file)?.set_len(octets)?;
        // No blocks for root alone, and nothing is written before it is needed.
        let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        run("mkfs.ext4", &["-q", "-m", "0", "-E", lazy, &file])?;
        let place = self.place.display().to_string();
        run("mount", &["-o", "loop,noatime", &file, &place])?;
        Ok(())
    }

    /// Unmounts it, and removes what is on it.
    fn remove(&self) -> Result<()> {
        self.unmount()?;
        for removed in [fs::remove_file(&self.file), fs::remove_dir(&self.place)] {
            match removed {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    fn unmount(&self) -> Result<()> {
        if self.is_mounted()? {
            run("umount", &["--lazy", &self.place.display().to_string()])?;
        }
        Ok(())
    }

    fn is_mounted(&self) -> Result<bool> {
        let there = match fs::metadata(&self.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let above = fs::metadata(self.file.parent().unwrap_or(&self.file))?;
        Ok(there.dev() != above.dev())
    }
}

/// How large it is to be.
fn octets(claim: &PersistentVolumeClaim) -> Result<u64> {
    let requests = claim.spec.as_ref().and_then(|spec| {
        let resources = spec.resources.as_ref()?;
        resources.requests.as_ref()?.get("storage")
    });
    let Quantity(text) = requests.context("a claim that asks for no storage")?;
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let shift = match unit {
        "" => 0,
        "Mi" => 20,
        "Gi" => 30,
        _ => bail!("{text}: write Mi or Gi"),
    };
    let octets = number
        .parse::<u64>()
        .ok()
        .and_then(|it| it.checked_mul(1 << shift));
    octets.with_context(|| format!("{text}: too much"))
}

/// What the volume of a claim is to be called, if the claim waits for one of ours.
fn wanted(claim: &PersistentVolumeClaim) -> Option<String> {
    let spec = claim.spec.as_ref()?;
    let waits = spec.volume_name.is_none() && claim.metadata.deletion_timestamp.is_none();
    let ours = spec.storage_class_name.as_deref() == Some(CLASS);
    let selected = claim.metadata.annotations.as_ref()?.contains_key(SELECTED);
    let uid = claim.metadata.uid.as_ref()?;
    (waits && ours && selected).then(|| format!("disk-{uid}"))
}

/// A volume of ours whose claim was deleted.
fn let_go(volume: &PersistentVolume) -> Option<&str> {
    let ours = volume.metadata.annotations.as_ref()?.get(PROVISIONED)? == PROVISIONER;
    let phase = volume.status.as_ref()?.phase.as_deref()?;
    let keep = volume
        .spec
        .as_ref()?
        .persistent_volume_reclaim_policy
        .as_deref()
        == Some("Retain");
    let name = volume.metadata.name.as_deref()?;
    (ours && phase == "Released" && !keep).then_some(name)
}

/// It can be mounted wherever the pod goes. Being local it obeys `fsGroup`.
fn volume(claim: &PersistentVolumeClaim, name: &str, place: &Path) -> Result<PersistentVolume> {
    let spec = claim.spec.as_ref().context("a claim without a spec")?;
    let requests = spec.resources.as_ref().and_then(|all| all.requests.clone());
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED: PROVISIONER}},
        "spec": {
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete",
            "capacity": requests,
            "accessModes": spec.access_modes,
            "local": {"path": place},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "Exists"},
            ]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.metadata.namespace,
                "name": claim.metadata.name,
                "uid": claim.metadata.uid,
            },
        },
    });
    Ok(serde_json::from_value(volume)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(class: &str, selected: bool, volume: Option<&str>) -> PersistentVolumeClaim {
        let annotations = match selected {
            true => json!({SELECTED: "node-2"}),
            false => json!({}),
        };
        let claim = json!({
            "metadata": {"name": "mail", "namespace": "a", "uid": "7", "annotations": annotations},
            "spec": {
                "storageClassName": class,
                "volumeName": volume,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        serde_json::from_value(claim).unwrap()
    }

    #[test]
    fn a_claim_has_a_volume_once_its_pod_has_a_node() {
        let name = Some("disk-7".to_owned());
        assert_eq!(wanted(&claim(CLASS, true, None)), name);
        assert_eq!(wanted(&claim(CLASS, false, None)), None);
        assert_eq!(wanted(&claim("fast", true, None)), None);
        assert_eq!(wanted(&claim(CLASS, true, Some("disk-7"))), None);
    }

    #[test]
    fn a_volume_is_its_claims_and_no_others() {
        let claim = claim(CLASS, true, None);
        let volume = volume(&claim, "disk-7", Path::new("/volumes/disk-7")).unwrap();
        let spec = volume.spec.unwrap();
        let whose = spec.claim_ref.unwrap();
        assert_eq!(whose.uid.as_deref(), Some("7"));
        assert_eq!(spec.capacity.unwrap()["storage"].0, "1Gi");
        assert_eq!(spec.access_modes.unwrap(), ["ReadWriteOnce"]);
    }

    #[test]
    fn a_disk_is_as_large_as_its_claim_asks() {
        let mut claim = claim(CLASS, true, None);
        let mut ask = |storage: &str| {
            let spec = claim.spec.as_mut().unwrap();
            let requests = [("storage".to_owned(), Quantity(storage.to_owned()))];
            spec.resources.as_mut().unwrap().requests = Some(requests.into());
            octets(&claim).ok()
        };
        assert_eq!(ask("5"), Some(5));
        assert_eq!(ask("3Mi"), Some(3 << 20));
        assert_eq!(ask("2Gi"), Some(2 << 30));
        for wrong in ["", "Gi", "1k", "99999999999Gi"] {
            assert_eq!(ask(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_volume_is_let_go_when_its_claim_is_deleted() {
        let of = |phase: &str, policy: &str, whose: &str| -> PersistentVolume {
            let volume = json!({
                "metadata": {"name": "v", "annotations": {PROVISIONED: whose}},
                "spec": {"persistentVolumeReclaimPolicy": policy},
                "status": {"phase": phase},
            });
            serde_json::from_value(volume).unwrap()
        };
        assert_eq!(let_go(&of("Released", "Delete", PROVISIONER)), Some("v"));
        assert_eq!(let_go(&of("Bound", "Delete", PROVISIONER)), None);
        assert_eq!(let_go(&of("Released", "Retain", PROVISIONER)), None);
        assert_eq!(let_go(&of("Released", "Delete", "another")), None);
    }
}
