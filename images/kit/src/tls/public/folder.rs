//! The certificates that lie in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::Chain;
use crate::reload::{self, Stamp};
use crate::tls::error::LoadError;
use crate::tls::files;
use crate::tls::{CERT, KEY};

/// Most certificates of one folder.
const MAX: usize = 64;

/// A chain and its key.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

/// All chains of a folder, the one to be shown by default first.
pub(super) fn load(folder: &Path) -> Result<Vec<Chain>, LoadError> {
    let pairs = pairs(folder)?;
    if pairs.is_empty() {
        let path = folder.to_owned();
        return Err(LoadError::NoPair { path });
    }
    let load = |pair: Pair| {
        let loaded = files::load_pair(&pair.cert, &pair.key)?;
        Ok(Chain::new(pair.cert, Arc::new(loaded)))
    };
    pairs.into_iter().map(load).collect()
}

/// What the folder and the files in it look like.
pub(super) fn stamps(folder: &Path) -> Vec<Stamp> {
    let pairs = pairs(folder).unwrap_or_default();
    let files = pairs.iter().flat_map(|pair| [&pair.cert, &pair.key]);
    let files = files.map(|file| reload::stamp(file));
    std::iter::once(reload::stamp(folder))
        .chain(files)
        .collect()
}

/// `cert.pem` with `key.pem`, then each `NAME.cert.pem` with `NAME.key.pem`, by name.
fn pairs(folder: &Path) -> Result<Vec<Pair>, LoadError> {
    let mut names = Vec::new();
    let unreadable = |error| LoadError::read(folder, error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(CERT)) {
            names.push(name.to_owned());
        }
    }
    names.retain(|name| name.is_empty() || name.len() > 1 && name.ends_with('.'));
    if names.len() > MAX {
        return Err(LoadError::TooMany {
            path: folder.to_owned(),
            limit: MAX,
        });
    }
    names.sort();
    let pair = |name: &String| Pair {
        cert: folder.join(format!("{name}{CERT}")),
        key: folder.join(format!("{name}{KEY}")),
    };
    Ok(names.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_without_a_name_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.cert.pem",
            "cert.pem",
            "a.cert.pem",
            ".cert.pem",
            "xcert.pem",
            "a.key.pem",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let pairs = pairs(folder.path()).unwrap();
        let found: Vec<_> = pairs
            .iter()
            .flat_map(|pair| [&pair.cert, &pair.key])
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        let expected = [
            "cert.pem",
            "key.pem",
            "a.cert.pem",
            "a.key.pem",
            "b.cert.pem",
            "b.key.pem",
        ];
        assert_eq!(found, expected);
        assert_eq!(stamps(folder.path()).len(), 7);
    }

    #[test]
    fn a_folder_without_any_is_named_and_so_is_one_with_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let said = || load(folder.path()).unwrap_err().to_string();
        let named = folder.path().display().to_string();
        assert!(
            said().contains(&named) && said().contains("NAME.cert.pem"),
            "{}",
            said()
        );
        for number in 0..=MAX {
            fs::write(folder.path().join(format!("{number}.cert.pem")), "").unwrap();
        }
        assert!(said().contains("more than 64"), "{}", said());
    }
}
