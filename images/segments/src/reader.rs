//! Reads one record back.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::format::frame::{FrameHeader, HEADER, PayloadSum, payload_holds};
use crate::position::Position;
use crate::record::Record;

/// How much is read at once to verify a record that is not kept in memory.
const PIECE: usize = 1 << 20;

const WRONG_SUM: &str = "the record has a wrong checksum";

/// A frame in a segment's file.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) seed: u64,
    pub(crate) at: Position,
}

impl Reader<'_> {
    /// The whole record, its checksum verified.
    pub(crate) fn record(&self) -> Result<Record, ReadError> {
        let header = self.header()?;
        let payload = self.octets(0, header.length as usize)?;
        self.verify(&header, &payload)?;
        Ok(Record::new(header.kind, payload))
    }

    /// Octets `start..start + length` of the payload; verified only if that is all of it.
    pub(crate) fn range(&self, start: u64, length: usize) -> Result<Bytes, ReadError> {
        let header = self.header()?;
        let wanted = start.saturating_add(length as u64);
        if wanted > u64::from(header.length) {
            return Err(ReadError::Range {
                at: self.at,
                length: header.length as usize,
                wanted,
            });
        }
        let octets = self.octets(start, length)?;
        if length == header.length as usize {
            self.verify(&header, &octets)?;
        }
        Ok(octets)
    }

    /// Reads the whole payload in pieces and verifies its checksum.
    pub(crate) fn verify_all(&self) -> Result<(), ReadError> {
        let header = self.header()?;
        let length = header.length as usize;
        let mut sum = PayloadSum::new(self.seed);
        for start in (0..length).step_by(PIECE) {
            sum.add(&self.octets(start as u64, PIECE.min(length - start))?);
        }
        match sum.is_of(&header) {
            true => Ok(()),
            false => Err(self.corrupt(WRONG_SUM)),
        }
    }

    fn header(&self) -> Result<FrameHeader, ReadError> {
        let mut bytes = [0; HEADER];
        let read = self
            .file
            .read_at(&mut bytes, self.at.offset)
            .map_err(|source| self.io(source))?;
        match FrameHeader::decode(&bytes[..read], self.seed, self.at.offset) {
            Ok((header, _)) if !header.control => Ok(header),
            Ok(_) => Err(self.corrupt("there is no record")),
            Err(bad) => Err(self.corrupt(&bad.to_string())),
        }
    }

    fn octets(&self, start: u64, length: usize) -> Result<Bytes, ReadError> {
        let mut octets = BytesMut::zeroed(length);
        let offset = self.at.offset + HEADER as u64 + start;
        let read = self
            .file
            .read_at(&mut octets, offset)
            .map_err(|source| self.io(source))?;
        if read < length {
            return Err(self.corrupt("the file ends inside the record"));
        }
        Ok(octets.freeze())
    }

    fn verify(&self, header: &FrameHeader, payload: &[u8]) -> Result<(), ReadError> {
        if payload_holds(header, payload, self.seed) {
            return Ok(());
        }
        Err(self.corrupt(WRONG_SUM))
    }

    fn corrupt(&self, reason: &str) -> ReadError {
        ReadError::Corrupt {
            at: self.at,
            reason: reason.to_owned(),
        }
    }

    fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io {
            at: self.at,
            source,
        }
    }
}
