//! Images by buildah: made of files alone, with no base to fetch.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::recipe::Recipe;

/// An image in buildah's own store.
#[derive(Debug)]
pub struct Image {
    name: String,
    listed: Listed,
}

/// As buildah tells of it. One image may have several names, if the same was built twice.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    names: Vec<String>,
    /// For people: "11.3 MB".
    size: String,
    digest: String,
}

impl Image {
    /// Builds it from its `Containerfile` and the folder with the programs.
    pub(super) fn build(recipe: &Recipe, tag: &str, programs: &Path) -> Result<Self> {
        let name = format!("{}:{tag}", recipe.name);
        let before = Self::find(&name);
        // The same octets give the same digest, whenever they are built.
        let mut command = buildah(&["bud", "--quiet", "--timestamp=0", "--layers=false"]);
        command.args(["--tag", &name, "--build-arg"]);
        command.arg(format!("VERSION={tag}"));
        command.arg("--file").arg(recipe.containerfile());
        said(command.arg(programs))?;
        let built = Self::find(&name)?;
        // One that lost its name would stay for ever.
        if let Some(before) = before.ok().filter(|before| before.lost_to(&built)) {
            said(&mut buildah(&["rmi", &before.listed.id]))?;
        }
        Ok(built)
    }

    /// Whether the other has its only name now.
    fn lost_to(&self, other: &Self) -> bool {
        self.listed.id != other.listed.id && self.listed.names.len() == 1
    }

    /// The one of that name, which was built before.
    pub fn find(name: &str) -> Result<Self> {
        let listed = said(&mut buildah(&["images", "--json", name]))?;
        let listed: Vec<Listed> = serde_json::from_str(&listed)?;
        let found = listed.into_iter().find_map(|listed| listed.called(name));
        found.with_context(|| format!("buildah does not list {name}"))
    }

    /// Runs one of its programs as the image says, on this machine's kernel and network; what it
    /// prints.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let container = said(&mut buildah(&["from", "--pull-never", self.name()]))?;
        let container = container.trim();
        let run = ["run", "--isolation=chroot", container, "--"];
        let outcome = said(&mut buildah(&[&run, words].concat()));
        said(&mut buildah(&["rm", container]))?;
        outcome
    }

    /// Pushes it; where it is then.
    pub(super) fn push(&self, registry: &str) -> Result<String> {
        let name = self.name().trim_start_matches("localhost/");
        let to = format!("{}/{name}", registry.trim_end_matches('/'));
        let there = format!("docker://{to}");
        said(&mut buildah(&["push", "--quiet", self.name(), &there]))?;
        Ok(to)
    }

    /// Writes it to a file, as containerd imports it.
    pub(crate) fn save(&self, to: &Path) -> Result<()> {
        let half = to.with_extension("half");
        // An archive is never written over, and this one may have been given up.
        let _ = std::fs::remove_file(&half);
        let there = format!("docker-archive:{}:{}", half.display(), self.name());
        said(&mut buildah(&["push", "--quiet", self.name(), &there]))?;
        std::fs::rename(&half, to)?;
        Ok(())
    }

    /// What it is known by, whatever it is called: "sha256:…".
    pub fn digest(&self) -> &str {
        &self.listed.digest
    }

    /// With `localhost/`, buildah's word for images that came from nowhere.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Listed {
    /// By the name that ends so, or not at all.
    fn called(self, name: &str) -> Option<Image> {
        let ending = format!("/{name}");
        let name = self.names.iter().find(|known| known.ends_with(&ending));
        let name = name?.clone();
        Some(Image { name, listed: self })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listed { size, digest, .. } = &self.listed;
        write!(f, "{}  {size}  {digest}", self.name)
    }
}

/// Its plain storage needs no support by the kernel.
fn buildah(arguments: &[&str]) -> Command {
    let mut command = Command::new("buildah");
    command.env("STORAGE_DRIVER", "vfs").args(arguments);
    command
}

/// What it says; its complaints are the error.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().context("buildah does not start")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "buildah: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_name_that_was_asked_for() {
        let listed = || Listed {
            id: "b98d96b3094f".to_owned(),
            names: ["localhost/other:1", "localhost/buzonera-mx:0.1.0"]
                .map(str::to_owned)
                .to_vec(),
            size: "11.3 MB".to_owned(),
            digest: "sha256:09f3".to_owned(),
        };
        let found = listed().called("buzonera-mx:0.1.0").unwrap();
        assert_eq!(found.name(), "localhost/buzonera-mx:0.1.0");
        assert!(listed().called("buzonera-mx:0.2.0").is_none());
        let mut newer = listed();
        newer.id = "7147209b3113".to_owned();
        let newer = newer.called("buzonera-mx:0.1.0").unwrap();
        assert!(!found.lost_to(&newer), "it has another name");
    }
}
