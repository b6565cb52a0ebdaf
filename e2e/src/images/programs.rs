//! The programs for images: they need nothing of a system but its kernel, and are the same octets
//! wherever they are built.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::recipe::Recipe;
use crate::{binaries, places};

/// The folder with the programs of these images. Cargo shows how far it is.
pub(super) fn build(images: &[Recipe]) -> Result<PathBuf> {
    let folder = places::workspace().join("target/images");
    // With the target named, what runs while building (procedural macros) is not static.
    let target = format!("{ARCH}-unknown-linux-gnu");
    let mut cargo = binaries::cargo();
    cargo.args(["build", "--locked", "--release", "--target", &target]);
    cargo.args(["--workspace", "--exclude", "e2e"]);
    for program in all_of(images)? {
        cargo.args(["--bin", &program]);
    }
    cargo.env("CARGO_TARGET_DIR", &folder);
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    cargo.env("SOURCE_DATE_EPOCH", "0");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags()?.join("\u{1f}"));
    ensure!(cargo.status()?.success(), "the programs do not build");
    Ok(folder.join(target).join("release"))
}

fn all_of(images: &[Recipe]) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for recipe in images {
        all.extend(recipe.programs()?);
    }
    Ok(all)
}

/// No path of this machine is in the programs.
fn flags() -> Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let users = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let home = home.or_else(users).context("HOME is not set")?;
    let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(places::workspace(), "/buzonera"),
        remap(home, "/cargo"),
    ])
}
