//! Every program is in an image, and every image is built.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::images::IMAGES;
use e2e::{binaries, places};
use serde_json::Value;

/// What is for people who build and test: it is in no image that we publish.
const NO_TIERS: [&str; 3] = ["buzonera-crds", "buzonera-e2e-pod", "e2e"];

#[test]
fn every_program_is_in_an_image() {
    let mut wanted = programs().unwrap();
    for name in NO_TIERS {
        assert!(wanted.remove(name), "there is no {name}");
    }
    let mut packed = BTreeSet::new();
    for recipe in IMAGES {
        let programs = recipe.programs().unwrap();
        // The first is what the image runs, and is called as the image.
        assert_eq!(programs[0], recipe.name);
        packed.extend(programs);
    }
    assert_eq!(packed, wanted);
}

#[test]
fn every_containerfile_is_built() {
    let mut found = BTreeSet::new();
    for folder in ["", "images"] {
        find(&places::workspace().join(folder), &mut found).unwrap();
    }
    let built: BTreeSet<_> = IMAGES.iter().map(|recipe| recipe.containerfile()).collect();
    assert_eq!(built, found);
}

/// An image has no user, no shell and no path that are not said, and nothing from elsewhere.
#[test]
fn every_image_is_made_alike() {
    for recipe in IMAGES {
        let text = fs::read_to_string(recipe.containerfile()).unwrap();
        let name = recipe.name;
        for line in [
            "FROM scratch".to_owned(),
            "USER 65532:65532".to_owned(),
            format!("ENTRYPOINT [\"/{name}\"]"),
            format!("LABEL org.opencontainers.image.title=\"{name}\" \\"),
        ] {
            let times = text.lines().filter(|found| **found == line).count();
            assert_eq!(times, 1, "{name}: {line}");
        }
        let copies = |line: &&str| line.starts_with("COPY ");
        for copy in text.lines().filter(copies) {
            assert!(copy.starts_with("COPY --chmod=0555 "), "{name}: {copy}");
        }
    }
}

/// The workspace's programs, as cargo knows them.
fn programs() -> Result<BTreeSet<String>> {
    let mut cargo = binaries::cargo();
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let output = cargo.output()?;
    ensure!(output.status.success(), "cargo metadata: {output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let targets = packages
        .iter()
        .filter_map(|package| package["targets"].as_array());
    let is_program = |target: &&Value| target["kind"][0] == "bin";
    let names = targets.flatten().filter(is_program);
    let names = names.filter_map(|target| target["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// The Containerfiles one folder down.
fn find(above: &Path, found: &mut BTreeSet<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(above)? {
        let file = entry?.path().join("Containerfile");
        if file.is_file() {
            found.insert(file);
        }
    }
    Ok(())
}
