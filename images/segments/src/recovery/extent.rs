//! How much an opening has to read.

use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::segment;
use crate::position::Position;
use crate::recovery::folder::{self, Folder};

/// What [`crate::Log::open`] reads: whole segments, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    segments: Vec<Stretch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    segment: u64,
    /// Octets of those before it.
    before: u64,
    octets: u64,
}

impl Extent {
    /// What is read of the log on `disk` when it is opened from there, as far as its files go now.
    /// Blocks; reads the manifest and asks for the length of each file.
    pub fn on(disk: &dyn Disk, from: Option<Position>) -> Result<Self, OpenError> {
        let folder = Folder::read(disk)?;
        let first = from.map_or(0, |from| from.segment);
        let is_removed = |id| {
            let manifest = folder.manifest.as_ref();
            manifest.is_some_and(|manifest| manifest.is_removed(id))
        };
        let mut extent = Self::default();
        for id in folder.ids.range(first..) {
            if !is_removed(*id) {
                let file = folder::open(disk, *id)?;
                let size = file.size();
                extent.add(
                    *id,
                    size.map_err(OpenError::io("measure", &segment::name(*id)))?,
                );
            }
        }
        Ok(extent)
    }

    /// Octets of all of it.
    pub fn octets(&self) -> u64 {
        let last = self.segments.last();
        last.map_or(0, |last| last.before + last.octets)
    }

    /// Octets before a position.
    pub fn before(&self, at: Position) -> u64 {
        let count = self
            .segments
            .partition_point(|stretch| stretch.segment <= at.segment);
        match self.segments[..count].last() {
            None => 0,
            Some(last) if last.segment == at.segment => last.before + at.offset.min(last.octets),
            Some(last) => last.before + last.octets,
        }
    }

    fn add(&mut self, segment: u64, octets: u64) {
        let before = self.octets();
        self.segments.push(Stretch {
            segment,
            before,
            octets,
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::{Log, Options, Record, sim::SimDisk};

    use super::*;

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    #[test]
    fn positions_are_counted_through_all_segments() {
        let mut extent = Extent::default();
        assert_eq!((extent.octets(), extent.before(at(1, 7))), (0, 0));
        extent.add(2, 100);
        extent.add(4, 50);
        assert_eq!(extent.octets(), 150);
        for (position, before) in [
            (at(1, 99), 0),
            (at(2, 0), 0),
            (at(2, 30), 30),
            (at(2, 300), 100),
            (at(3, 5), 100),
            (at(4, 20), 120),
            (at(9, 9), 150),
        ] {
            assert_eq!(extent.before(position), before, "{position}");
        }
    }

    #[test]
    fn segments_before_the_checkpoint_are_not_read() {
        let sim = SimDisk::new(1);
        let options = Options {
            segment_bytes: 200,
            ..Options::default()
        };
        let log = Log::open(sim.disk(), options, None, &mut |_, _| Ok(())).unwrap();
        for _ in 0..6 {
            let parts = vec![vec![1; 100].into()];
            let ticket = log.submit(Record { kind: 1, parts }).unwrap();
            ticket.wait().unwrap();
        }
        log.stop();
        let known = log.segments();
        let whole: u64 = known.iter().map(|segment| segment.bytes).sum();
        let all = Extent::on(&*sim.disk(), None).unwrap();
        assert_eq!(all.octets(), whole);
        assert_eq!(all.before(log.end()), whole);
        let from = at(known[1].id, 64);
        let rest = Extent::on(&*sim.disk(), Some(from)).unwrap();
        assert_eq!(rest.octets(), whole - known[0].bytes);
        let none = Extent::on(&*SimDisk::new(2).disk(), None).unwrap();
        assert_eq!(none, Extent::default());
    }
}
