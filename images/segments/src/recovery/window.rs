//! Reads a file forward through a buffer.

use std::io;

use crate::disk::DiskFile;

/// What one read fetches at least: few calls, little memory.
const READ: u64 = 1 << 20;

/// A moving view of one file, whose length is taken once.
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    size: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self {
            file,
            size: file.size()?,
            start: 0,
            buffer: Vec::new(),
        })
    }

    /// Octets of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The octets from `offset` to `offset + length`, or as many of them as the file has.
    pub(super) fn get(&mut self, offset: u64, length: u64) -> io::Result<&[u8]> {
        let end = self.size.min(offset.saturating_add(length));
        if offset >= end {
            return Ok(&[]);
        }
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            self.fill(offset, end)?;
        }
        let from = (offset - self.start) as usize;
        let to = (end - self.start) as usize;
        Ok(&self.buffer[from.min(self.buffer.len())..to.min(self.buffer.len())])
    }

    fn fill(&mut self, offset: u64, end: u64) -> io::Result<()> {
        let until = self.size.min(end.max(offset + READ));
        self.buffer.resize((until - offset) as usize, 0);
        let read = self.file.read_at(&mut self.buffer, offset)?;
        self.buffer.truncate(read);
        self.start = offset;
        Ok(())
    }
}
