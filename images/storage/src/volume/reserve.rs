//! Room kept back, so that a shard can start on a full volume: its index may have to catch up, and
//! the first record of a run must be written before what frees space can be.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use segments::Space;

/// Most that is kept back: the rows of what is replayed after a power cut, several times.
const MOST: u64 = 16 << 20;

/// One in so many octets of the volume is kept back.
const SHARE: u64 = 100;

/// The file that takes the room.
pub(super) struct Reserve {
    path: PathBuf,
}

/// What is done with it at a start.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// There is plenty of room: it is made.
    Make(u64),
    /// There is as good as none: it is given up.
    GiveUp,
    Leave,
}

impl Reserve {
    pub(super) fn beside(index: &Path) -> Self {
        Self {
            path: index.with_file_name("reserve"),
        }
    }

    /// Makes it while there is plenty of room, and gives it up when there is none.
    pub(super) fn settle(&self) {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let settled = Space::of(folder).and_then(|space| match step(space) {
            Step::Make(octets) => self.make(octets),
            Step::GiveUp => self.give_up(),
            Step::Leave => Ok(()),
        });
        if let Err(error) = settled {
            tracing::warn!(%error, "the volume's reserve is not as it should be");
        }
    }

    fn make(&self, octets: u64) -> io::Result<()> {
        if self.path.exists() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let file: File = options.write(true).create_new(true).open(&self.path)?;
        let flags = rustix::fs::FallocateFlags::empty();
        let made = rustix::fs::fallocate(&file, flags, 0, octets).map_err(io::Error::from);
        made.inspect_err(|_| {
            // An empty one would pass for a whole one.
            let _ = self.give_up();
        })
    }

    fn give_up(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => tracing::warn!("the volume is full: its reserve is given up"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn step(space: Space) -> Step {
    let octets = (space.size / SHARE).min(MOST);
    match space.free {
        free if free < octets => Step::GiveUp,
        free if free / 8 > octets => Step::Make(octets),
        _ => Step::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_with_plenty_of_room_and_given_up_without() {
        const GIB: u64 = 1 << 30;
        let at = |free| step(Space { size: GIB, free });
        let share = GIB / SHARE;
        assert_eq!(at(GIB), Step::Make(share));
        assert_eq!(at(share * 8), Step::Leave);
        assert_eq!(at(share), Step::Leave);
        assert_eq!(at(share - 1), Step::GiveUp);
        let large = Space {
            size: 100 * GIB,
            free: 100 * GIB,
        };
        assert_eq!(step(large), Step::Make(MOST));
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("index"));
        reserve.make(5000).unwrap();
        reserve.make(5000).unwrap();
        assert_eq!(std::fs::metadata(&reserve.path).unwrap().len(), 5000);
        reserve.give_up().unwrap();
        reserve.give_up().unwrap();
        assert!(!reserve.path.exists());
    }
}
