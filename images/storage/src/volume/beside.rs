//! What lies beside the index: the mark that it is doubted, and one that was set aside.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::VolumeError;
use crate::index::IndexError;

/// The index's folder and what lies beside it.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    index: PathBuf,
    dead: PathBuf,
    doubt: PathBuf,
}

/// The mark that the index is damaged: the next start rebuilds it.
#[derive(Debug, Clone)]
pub struct Doubt {
    path: PathBuf,
}

impl Doubt {
    /// Leaves the mark. Blocks.
    pub(crate) fn leave(&self, error: &IndexError) {
        tracing::error!(%error, "the index is damaged: the next start rebuilds it");
        if let Err(error) = std::fs::write(&self.path, error.to_string()) {
            tracing::error!(%error, "the next start is not told to rebuild the index");
        }
    }
}

impl Beside {
    pub(super) fn of(index: &Path) -> Self {
        Self {
            index: index.to_owned(),
            dead: index.with_extension("dead"),
            doubt: index.with_extension("doubt"),
        }
    }

    pub(super) fn index(&self) -> &Path {
        &self.index
    }

    pub(super) fn doubt(&self) -> Doubt {
        Doubt {
            path: self.doubt.clone(),
        }
    }

    /// Why the index is doubted, if it is.
    pub(super) fn doubted(&self) -> Result<Option<String>, VolumeError> {
        match std::fs::read(&self.doubt) {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &self.doubt)(source)),
        }
    }

    /// Takes the index out of the way in one step: one that is removed file by file could be
    /// interrupted, and what is left of it be opened.
    pub(super) fn set_aside(&self) -> Result<(), VolumeError> {
        self.remove_dead()?;
        match std::fs::rename(&self.index, &self.dead) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("rename", &self.index)(error));
            }
            _ => {}
        }
        self.sync()?;
        // After that: a mark without a doubted index costs a rebuild, no more.
        match std::fs::remove_file(&self.doubt) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.doubt)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what was set aside, at this start or an earlier one.
    pub(super) fn remove_dead(&self) -> Result<(), VolumeError> {
        match std::fs::remove_dir_all(&self.dead) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.dead)(error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), VolumeError> {
        let folder = match self.index.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(failed("sync", folder))
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::Io { what, path, source }
}
