//! Octets into lines, with a cap.

use bytes::{Buf as _, Bytes, BytesMut};

/// One line of the peer, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line within the cap.
    Whole(Bytes),
    /// A line over the cap: its octets are gone, its end was found.
    TooLong,
}

/// Cuts lines off a buffer.
///
/// A line ends with LF; one CR before it belongs to the end (people at a terminal send LF alone).
/// The rest of an over-long line is dropped as it arrives, so the buffer never holds more than
/// the cap and one read.
#[derive(Debug, Default)]
pub struct Framer {
    /// Inside a line that is already too long.
    dropping: bool,
}

impl Framer {
    /// Takes the next line off `input`, or nothing before more octets come. `cap` counts the
    /// line's end as two octets.
    pub fn next(&mut self, input: &mut BytesMut, cap: usize) -> Option<Line> {
        let Some(end) = input.iter().position(|octet| *octet == b'\n') else {
            self.drop_excess(input, cap);
            return None;
        };
        let mut line = input.split_to(end).freeze();
        input.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        let too_long = std::mem::take(&mut self.dropping) || line.len() + 2 > cap;
        Some(if too_long {
            Line::TooLong
        } else {
            Line::Whole(line)
        })
    }

    fn drop_excess(&mut self, input: &mut BytesMut, cap: usize) {
        if self.dropping || input.len() > cap {
            self.dropping = true;
            input.clear();
        }
    }
}

/// Frames any octets twice, whole and octet by octet: the lines must be the same.
pub fn fuzz(data: &[u8]) {
    const CAP: usize = 16;
    let (mut whole, mut lines) = (BytesMut::from(data), Vec::new());
    let mut framer = Framer::default();
    while let Some(line) = framer.next(&mut whole, CAP) {
        lines.push(line);
    }
    let (mut input, mut framer) = (BytesMut::new(), Framer::default());
    let mut slow = Vec::new();
    for octet in data {
        input.extend_from_slice(&[*octet]);
        slow.extend(framer.next(&mut input, CAP));
        assert!(input.len() <= CAP);
    }
    assert_eq!(lines, slow);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(input: &str, cap: usize) -> Vec<Line> {
        let (mut input, mut framer) = (BytesMut::from(input), Framer::default());
        std::iter::from_fn(|| framer.next(&mut input, cap)).collect()
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from(text))
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        let found = lines("STAT\r\nNOOP\n\r\nX\rY\r\r\nrest", 255);
        let expected = [whole("STAT"), whole("NOOP"), whole(""), whole("X\rY\r")];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_long_line_is_dropped_and_the_next_one_read() {
        let input = format!("{}\r\nNOOP\r\n", "A".repeat(1000));
        assert_eq!(lines(&input, 255), [Line::TooLong, whole("NOOP")]);
    }

    #[test]
    fn the_cap_counts_the_end() {
        let fits = "A".repeat(253);
        let found = lines(&format!("{fits}\r\n{fits}A\r\n"), 255);
        assert!(matches!(found.as_slice(), [Line::Whole(_), Line::TooLong]));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_lines(data in "([A-Z]{0,20}\r?\n?){0,5}") {
            fuzz(data.as_bytes());
        }
    }
}
