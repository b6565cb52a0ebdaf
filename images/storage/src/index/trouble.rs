//! What an error of the index means: whether it passes, or proves damage.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use super::FORM;

/// Why the index cannot be used; [`IndexError::trouble`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store failed.
    #[error("the index cannot {what}: {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// What the store said.
        source: fjall::Error,
    },
    /// A row is not what its key says.
    #[error("the index has a row that is not {0}")]
    Row(&'static str),
    /// Another release made it.
    #[error("the index has rows of form {0}, and this program's are of form {FORM}")]
    Form(u32),
    /// Some of it is there and some is not.
    #[error("the index is not whole: {0}")]
    Torn(&'static str),
    /// The store panicked over what it read.
    #[error("the store of the index panicked over what it read")]
    Panicked,
}

/// What is to be done about an error of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The system refused something (no room, no file descriptor, no right, a read that failed):
    /// the index may be whole. Try again; delete nothing.
    Passing,
    /// What is there is not what was written: it is rebuilt.
    Damage,
}

impl IndexError {
    /// Sorts the error.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Store { source, .. } => of_store(source),
            Self::Row(_) | Self::Form(_) | Self::Panicked | Self::Torn(_) => Trouble::Damage,
        }
    }

    /// Whether it failed for want of room: what is there can be read.
    pub fn is_full(&self) -> bool {
        let full = |error: &io::Error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        };
        self.system().is_some_and(full)
    }

    /// Whether only writes fail: what the store has written is read as before.
    pub fn is_of_writes(&self) -> bool {
        match self {
            Self::Store { source, .. } => matches!(source, fjall::Error::Poisoned),
            Self::Row(_) | Self::Form(_) | Self::Torn(_) | Self::Panicked => false,
        }
    }

    /// What the system said, if it said something.
    fn system(&self) -> Option<&io::Error> {
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }
}

/// An error of the store, while it was to do this.
pub(super) fn failed(what: &'static str) -> impl FnOnce(fjall::Error) -> IndexError {
    move |source| IndexError::Store { what, source }
}

/// The store's errors are not a closed set: one that is not known here deletes nothing.
fn of_store(error: &fjall::Error) -> Trouble {
    use fjall::Error as Store;
    match error {
        Store::Io(error) => of_system(error),
        Store::Storage(error) => of_tree(error),
        Store::JournalRecovery(_)
        | Store::InvalidVersion(_)
        | Store::Decompress(_)
        | Store::InvalidTrailer
        | Store::InvalidTag(_)
        | Store::KeyspaceDeleted
        | Store::Unrecoverable => Trouble::Damage,
        // A write failed in the background, or somebody else has it.
        Store::Poisoned | Store::Locked => Trouble::Passing,
        _ => Trouble::Passing,
    }
}

fn of_tree(error: &fjall::LsmError) -> Trouble {
    use fjall::LsmError as Tree;
    match error {
        Tree::Io(error) => of_system(error),
        Tree::Decompress(_)
        | Tree::InvalidVersion(_)
        | Tree::Unrecoverable
        | Tree::ChecksumMismatch { .. }
        | Tree::InvalidTag(_)
        | Tree::InvalidTrailer
        | Tree::InvalidHeader(_)
        | Tree::Utf8(_) => Trouble::Damage,
        _ => Trouble::Passing,
    }
}

/// The system's own errors pass, but for those that say that the files are not as they were left.
/// What a library says in the system's words (a file that ends too early) is about their content.
fn of_system(error: &io::Error) -> Trouble {
    let left = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            // A file too short for what is sought in it.
            | ErrorKind::InvalidInput
    );
    match error.raw_os_error() {
        Some(_) if !left => Trouble::Passing,
        _ => Trouble::Damage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(source: fjall::Error) -> IndexError {
        IndexError::Store {
            what: "be read",
            source,
        }
    }

    #[test]
    fn what_the_system_refuses_passes() {
        // ENOSPC, EDQUOT, EMFILE, ENFILE, EIO, EACCES, EPERM, EROFS, ENOMEM, EINTR, ESTALE.
        for errno in [28, 122, 24, 23, 5, 13, 1, 30, 12, 4, 116] {
            let error = || io::Error::from_raw_os_error(errno);
            let full = [28, 122].contains(&errno);
            let tree = fjall::Error::Storage(fjall::LsmError::Io(error()));
            for source in [fjall::Error::Io(error()), tree] {
                let error = store(source);
                assert_eq!(error.trouble(), Trouble::Passing, "{error}");
                assert_eq!(error.is_full(), full, "{error}");
            }
        }
        assert_eq!(store(fjall::Error::Poisoned).trouble(), Trouble::Passing);
        assert_eq!(store(fjall::Error::Locked).trouble(), Trouble::Passing);
    }

    #[test]
    fn what_the_files_say_is_damage() {
        // ENOENT, EEXIST, ENOTDIR, EISDIR, EINVAL.
        let mut errors: Vec<_> = [2, 17, 20, 21, 22].map(io::Error::from_raw_os_error).into();
        errors.push(ErrorKind::UnexpectedEof.into());
        errors.push(io::Error::new(ErrorKind::InvalidData, "no table"));
        for error in errors {
            let error = store(fjall::Error::Io(error));
            assert_eq!(error.trouble(), Trouble::Damage, "{error}");
        }
        let tree = fjall::Error::Storage(fjall::LsmError::Unrecoverable);
        for source in [
            tree,
            fjall::Error::Unrecoverable,
            fjall::Error::InvalidTrailer,
        ] {
            assert_eq!(store(source).trouble(), Trouble::Damage);
        }
        for error in [
            IndexError::Row("x"),
            IndexError::Form(0),
            IndexError::Panicked,
        ] {
            assert_eq!(error.trouble(), Trouble::Damage, "{error}");
        }
    }
}
