//! Command lines cut out of the stream, with a cap.

use bytes::{Bytes, BytesMut};

/// The longest command line that is read, CRLF included. RFC 5321 section 4.5.3.1.4 asks for 512,
/// and each extension adds to it (SIZE 26, BODY 17); local parts of 255 octets, quoted, and source
/// routes take the rest.
pub const MAX_LINE: usize = 2048;

/// Cuts lines; keeps nothing but whether it is inside one that was too long.
#[derive(Debug, Default)]
pub struct Framer {
    skipping: bool,
}

/// One line, or what was wrong with it. The stream stands behind the line in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Without its CRLF; no CR or LF in it.
    Line(Bytes),
    /// It had more than [`MAX_LINE`] octets, which are dropped.
    TooLong,
    /// It ended in a bare LF, or had a bare CR in it (RFC 5321 section 2.3.8).
    BareEnding,
}

impl Framer {
    /// Takes the next line off the front of `buffer`; none when it is not yet whole.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        let Some(at) = memchr::memchr(b'\n', buffer) else {
            if buffer.len() >= MAX_LINE {
                self.skipping = true;
            }
            if self.skipping {
                buffer.clear();
            }
            return None;
        };
        let line = buffer.split_to(at + 1).freeze();
        if std::mem::take(&mut self.skipping) || line.len() > MAX_LINE {
            return Some(Frame::TooLong);
        }
        Some(match line.strip_suffix(b"\r\n") {
            Some(text) if !text.contains(&b'\r') => Frame::Line(line.slice(..text.len())),
            _ => Frame::BareEnding,
        })
    }
}

/// What comes out must not depend on how the stream was cut into reads.
pub(super) fn fuzz(data: &[u8]) {
    let whole = frames([data].into_iter());
    assert_eq!(whole, frames(data.chunks(1)));
    assert_eq!(whole.len(), data.iter().filter(|&&c| c == b'\n').count());
}

fn frames<'a>(reads: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut framer, mut buffer, mut frames) = (Framer::default(), BytesMut::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(frame) = framer.next(&mut buffer) {
            frames.push(frame);
        }
        assert!(buffer.len() < MAX_LINE);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(data: &[u8]) -> Vec<Frame> {
        fuzz(data);
        frames([data].into_iter())
    }

    #[test]
    fn lines_and_bare_endings() {
        let line = |text: &'static str| Frame::Line(Bytes::from_static(text.as_bytes()));
        assert_eq!(one(b"NOOP\r\nQUIT\r\nA"), [line("NOOP"), line("QUIT")]);
        assert_eq!(one(b"\r\n"), [line("")]);
        assert_eq!(one(b"NOOP\n"), [Frame::BareEnding]);
        assert_eq!(one(b"\n"), [Frame::BareEnding]);
        assert_eq!(one(b"NO\rOP\r\n"), [Frame::BareEnding]);
        assert_eq!(one(b"NOOP\r\r\n"), [Frame::BareEnding]);
    }

    #[test]
    fn a_line_too_long_is_dropped_whole() {
        for length in [MAX_LINE - 1, MAX_LINE, 3 * MAX_LINE] {
            let mut data = vec![b'a'; length];
            data.extend_from_slice(b"\r\nNOOP\r\n");
            let expected = [Frame::TooLong, Frame::Line(Bytes::from_static(b"NOOP"))];
            assert_eq!(one(&data), expected, "{length}");
        }
        let mut data = vec![b'a'; MAX_LINE - 2];
        data.extend_from_slice(b"\r\n");
        assert!(matches!(&one(&data)[..], [Frame::Line(line)] if line.len() == MAX_LINE - 2));
    }
}
