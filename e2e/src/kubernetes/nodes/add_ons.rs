//! What a Kubernetes with nodes needs beside its own programs: the images of pods' first processes and
//! of the cluster's DNS, and the objects that stand for DNS and storage.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::commands::run;
use super::files::CONTAINERD;
use super::identity::Identity;
use crate::go::{Module, Program};
use crate::images::{self, Image, Recipe};
use crate::kubernetes::access::Access;
use crate::places;

/// What is built from Go modules.
pub(super) const MODULE: Module = Module {
    name: "add-ons",
    title: "CoreDNS 1.14 and Helm 4.3",
    cost: "about 3 minutes, 1 GB of Go's cache",
    linker_flags: "-s -w",
    programs: &[
        Program {
            name: "coredns",
            package: "github.com/coredns/coredns",
        },
        Program {
            name: "helm",
            package: "helm.sh/helm/v4/cmd/helm",
        },
    ],
};

const COREDNS: Recipe = Recipe {
    name: "buzonera-e2e-coredns",
    folder: "e2e/add-ons/coredns",
};
const POD: Recipe = Recipe {
    name: "buzonera-e2e-pod",
    folder: "e2e/pod",
};
const ETCD: Recipe = Recipe {
    name: "buzonera-e2e-etcd",
    folder: "e2e/etcd",
};
const TAG: &str = "1";

/// Builds the programs, and images of them and of etcd in buildah's store.
pub(super) fn provide(etcd: &Path, yes: bool) -> Result<()> {
    let folder = etcd.parent().context("etcd has no folder")?;
    images::build_one(&ETCD, TAG, folder)?;
    let programs = MODULE.provide(yes)?;
    images::build_one(&COREDNS, TAG, &programs)?;
    let programs = images::programs(&[POD])?;
    images::build_one(&POD, TAG, &programs)?;
    Ok(())
}

/// The image of pods' first processes, as nodes know it; it has works for tests too.
pub fn pod_image() -> String {
    format!("localhost/{}:{TAG}", POD.name)
}

/// The image of etcd that a platform can keep its directory in, as nodes know it.
pub fn etcd_image() -> String {
    format!("localhost/{}:{TAG}", ETCD.name)
}

/// What a mail platform runs, by name: Buzonera's tiers, and etcd.
pub(super) fn of_a_platform() -> impl Iterator<Item = String> {
    let tiers = images::IMAGES.iter();
    let tiers = tiers.map(|recipe| format!("{}:{}", recipe.name, images::TAG));
    tiers.chain([format!("{}:{TAG}", ETCD.name)])
}

/// Brings both images to a node.
pub(super) fn bring(folder: &Path, first: &Identity) -> Result<()> {
    for recipe in [POD, COREDNS] {
        let image = Image::find(&format!("{}:{TAG}", recipe.name))?;
        import(first, &archive(folder, &image)?)?;
    }
    Ok(())
}

/// An image as a file, for nodes to import. It is made once.
pub(super) fn archive(folder: &Path, image: &Image) -> Result<PathBuf> {
    let folder = folder.join("images");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.tar", image.digest().replace(':', "-")));
    if !file.is_file() {
        image.save(&file)?;
    }
    Ok(file)
}

/// Brings an image to the node with that first process.
pub(super) fn import(first: &Identity, archive: &Path) -> Result<()> {
    let (pid, archive) = (first.pid.to_string(), archive.display().to_string());
    let on_node = ["--target", &pid, "--mount", "ctr", "--address", CONTAINERD];
    let import = ["--namespace", "k8s.io", "images", "import", &archive];
    run("nsenter", &[&on_node[..], &import].concat()).map(drop)
}

/// Makes the objects that are beside `go.mod`.
pub(super) fn install(access: &Access) -> Result<()> {
    let folder = places::workspace().join("e2e/add-ons/objects");
    access.kubectl(&["create", "--filename", &folder.display().to_string()])?;
    Ok(())
}
