//! A snapshot's file, written and read through a buffer.

use std::io::{self, IoSlice, Read};

use ring::digest::Context;
use segments::DiskFile;

use super::format::{digest, encode_end};

/// What is written or read at once: few calls, little memory.
const BUFFER: usize = 1 << 20;

/// Writes a new file from its start.
pub(super) struct Writer {
    file: Box<dyn DiskFile>,
    digest: Context,
    buffer: Vec<u8>,
    written: u64,
}

impl Writer {
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        Self {
            file,
            digest: digest(),
            buffer: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.digest.update(octets);
        self.append(octets)
    }

    /// Ends the file and makes it durable; gives its length.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let end = encode_end(self.digest.clone());
        self.append(&end)?;
        self.flush()?;
        self.file.sync_all()?;
        Ok(self.written)
    }

    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut parts = [IoSlice::new(&self.buffer)];
        self.file.write_at(&mut parts, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a file from its start.
pub(super) struct Reader {
    file: Box<dyn DiskFile>,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Reader {
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        Self {
            file,
            at: 0,
            buffer: Vec::new(),
            used: 0,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.resize(BUFFER, 0);
        let read = self.file.read_at(&mut self.buffer, self.at)?;
        self.buffer.truncate(read);
        self.at += read as u64;
        self.used = 0;
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            self.fill()?;
        }
        let octets = &self.buffer[self.used..];
        let length = octets.len().min(into.len());
        into[..length].copy_from_slice(&octets[..length]);
        self.used += length;
        Ok(length)
    }
}
