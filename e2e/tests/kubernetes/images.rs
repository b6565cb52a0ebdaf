//! Each image starts what it is for: its programs need nothing that is not in it.

use anyhow::{Result, ensure};
use e2e::images::{IMAGES, Image, Recipe, TAG};

/// buildah needs rights over namespaces for that.
#[cfg_attr(not(namespaces), ignore = "needs to make namespaces")]
#[test]
fn every_program_of_every_image_starts() {
    for recipe in IMAGES {
        starts(recipe).unwrap();
    }
}

fn starts(recipe: &Recipe) -> Result<()> {
    let image = Image::find(&format!("{}:{TAG}", recipe.name))?;
    for program in recipe.programs()? {
        let said = image.run(&[&format!("/{program}"), "--version"])?;
        let wanted = format!("{program} {TAG}");
        ensure!(said.trim() == wanted, "{said}");
    }
    Ok(())
}
