//! Which images there are, and which programs each takes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::places;

/// How an image is made.
pub struct Recipe {
    /// What it is called, without registry and tag.
    pub name: &'static str,
    /// The workspace's folder with its `Containerfile`.
    pub folder: &'static str,
}

/// Every image that we publish.
pub const IMAGES: &[Recipe] = &[
    Recipe {
        name: "buzonera-directory",
        folder: "images/directory",
    },
    Recipe {
        name: "buzonera-mx",
        folder: "images/mx",
    },
    Recipe {
        name: "buzonera-operator",
        folder: "operator",
    },
    Recipe {
        name: "buzonera-proxy",
        folder: "images/proxy",
    },
    Recipe {
        name: "buzonera-storage",
        folder: "images/storage",
    },
];

impl Recipe {
    /// The file that buildah follows.
    pub fn containerfile(&self) -> PathBuf {
        places::workspace().join(self.folder).join("Containerfile")
    }

    /// The programs that the image takes from the release build.
    pub fn programs(&self) -> Result<Vec<String>> {
        let path = self.containerfile();
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let programs = copied(&text);
        ensure!(!programs.is_empty(), "{} copies nothing", path.display());
        Ok(programs)
    }
}

/// What its `COPY` lines name, without their flags and without where it goes.
fn copied(containerfile: &str) -> Vec<String> {
    let lines = containerfile.lines();
    let copies = lines.filter_map(|line| line.strip_prefix("COPY "));
    let sources = copies.flat_map(|words| {
        let words = words.split_whitespace();
        let mut words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
        words.pop();
        words
    });
    sources.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_read_and_where_it_goes_is_not() {
        let text = "FROM scratch\nCOPY --chmod=0555 buzonera-directory buzonera /\nUSER 65532\n\
                    COPY notes /notes\n";
        assert_eq!(copied(text), ["buzonera-directory", "buzonera", "notes"]);
        assert!(copied("# COPY a /\nFROM scratch\n").is_empty());
    }
}
