//! `cargo e2e images`: the images of all tiers, from one static release build.

mod buildah;
mod programs;
mod recipe;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::{packages, say};

pub use buildah::Image;
pub use recipe::{IMAGES, Recipe};

/// The tag of images: the version that the operator asks for.
pub const TAG: &str = env!("CARGO_PKG_VERSION");

/// Where images go, and what they are called.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Also push them: to REGISTRY/buzonera-NAME:TAG.
    #[arg(long, value_name = "REGISTRY")]
    pub push: Option<String>,
    /// Their tag.
    #[arg(long, value_name = "TAG", default_value = TAG)]
    pub tag: String,
    /// Install buildah without asking.
    #[arg(long)]
    pub yes: bool,
}

/// Builds them, says what each is called, its size and its digest, and pushes them if asked to.
pub fn run(args: ImagesArgs) -> Result<bool> {
    for image in build(&args.tag, args.yes)? {
        if let Some(registry) = &args.push {
            let to = image.push(registry)?;
            say::line(&format!("pushed to {to}"));
        }
    }
    Ok(true)
}

/// The folder with the programs that these images take, built from this workspace.
pub(crate) fn programs(of: &[Recipe]) -> Result<PathBuf> {
    programs::build(of)
}

/// Builds one from programs that are there.
pub(crate) fn build_one(recipe: &Recipe, tag: &str, programs: &Path) -> Result<Image> {
    Image::build(recipe, tag, programs)
}

/// Builds all of them into buildah's own store, and says so.
pub fn build(tag: &str, yes: bool) -> Result<Vec<Image>> {
    packages::provide(&packages::OF_IMAGES, yes)?;
    let began = Instant::now();
    say::line("building the programs of images: static, in release mode");
    let programs = programs::build(IMAGES)?;
    say::line(&format!("built in {} s", began.elapsed().as_secs()));
    let built = IMAGES.iter().map(|recipe| {
        let image = Image::build(recipe, tag, &programs)?;
        say::line(&image.to_string());
        Ok(image)
    });
    built.collect()
}
