//! One simulated file: what is on the disk, and what only the kernel has.

use crate::sim::rng::Rng;

/// The sizes in which disks and file systems keep or lose what was not synced.
const BLOCKS: [u64; 2] = [512, 4096];

enum Change {
    Write { offset: u64, octets: Vec<u8> },
    Cut(u64),
}

#[derive(Default)]
pub(super) struct Inode {
    /// What a program reads.
    seen: Vec<u8>,
    /// What survives a power cut for certain.
    durable: Vec<u8>,
    /// What was done since the last sync, in order.
    pending: Vec<Change>,
}

impl Inode {
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn write(&mut self, offset: u64, octets: Vec<u8>) {
        put(&mut self.seen, offset, &octets);
        self.pending.push(Change::Write { offset, octets });
    }

    pub(super) fn cut(&mut self, size: u64) {
        self.seen.resize(size as usize, 0);
        self.pending.push(Change::Cut(size));
    }

    /// All that was done becomes durable.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Write { offset, octets } => put(&mut self.durable, offset, &octets),
                Change::Cut(size) => self.durable.resize(size as usize, 0),
            }
        }
    }

    /// A sync that fails: some of what was done is lost, and the kernel forgets that it was
    /// never written, though it still shows it.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        for change in std::mem::take(&mut self.pending) {
            keep_some(&mut self.durable, &change, rng);
        }
    }

    /// Any part of what was not synced survives, and nothing else.
    pub(super) fn power_cut(&mut self, rng: &mut Rng) {
        self.fail_sync(rng);
        self.seen = self.durable.clone();
    }

    /// Changes what is on the disk behind everyone's back.
    pub(super) fn tamper(&mut self, change: impl Fn(&mut Vec<u8>)) {
        change(&mut self.seen);
        change(&mut self.durable);
    }
}

fn put(file: &mut Vec<u8>, offset: u64, octets: &[u8]) {
    let start = offset as usize;
    let end = start + octets.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(octets);
}

/// Makes an arbitrary part of a change durable: any subset of blocks, torn ones too, with or
/// without the file's new length.
fn keep_some(durable: &mut Vec<u8>, change: &Change, rng: &mut Rng) {
    let (offset, octets) = match change {
        Change::Cut(size) => {
            if rng.one_in(2) {
                durable.resize(*size as usize, 0);
            }
            return;
        }
        Change::Write { offset, octets } => (*offset, octets.as_slice()),
    };
    let fate = rng.below(8);
    if fate == 0 {
        return;
    }
    let end = offset + octets.len() as u64;
    if fate < 4 && (durable.len() as u64) < end {
        durable.resize(end as usize, 0);
    }
    // Sometimes most survives, sometimes little.
    let odds = 1 + rng.below(8);
    let block = BLOCKS[rng.below(2) as usize];
    let mut at = offset;
    while at < end {
        let next = end.min((at / block + 1) * block);
        if fate == 7 || rng.below(8) < odds {
            let until = match rng.one_in(16) {
                true => at + rng.below(next - at + 1),
                false => next,
            };
            let kept = &octets[(at - offset) as usize..(until - offset) as usize];
            put(durable, at, kept);
        }
        at = next;
    }
}
