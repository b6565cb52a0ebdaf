//! Messages as multi-line replies: dots stuffed, the end marked, TOP cut (RFC 1939 sections 3, 7).

use bytes::{BufMut as _, BytesMut};

/// Stuffs one message as its chunks come.
///
/// A line starts after each LF: stored lines end in CRLF, and should a bare LF ever be stored, a
/// dot after it is stuffed too rather than let a lenient client take it for the end.
#[derive(Debug)]
pub struct Stuffer {
    position: Position,
    /// Whether the last octet was CR.
    after_cr: bool,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the start of a line, also of the message.
    Start,
    /// Only a CR since the start of the line.
    StartCr,
    Inside,
}

/// Which part of the message the next octet is of, and how much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it (RETR).
    Whole,
    /// The header of a message that is cut after so many lines of its body (TOP).
    Header(u32),
    /// The body, so many lines of which are still wanted.
    Body(u32),
}

impl Stuffer {
    /// For a whole message.
    pub fn whole() -> Self {
        Self::new(Part::Whole)
    }

    /// For a message's header, the empty line and the first `lines` lines of its body.
    pub fn top(lines: u32) -> Self {
        Self::new(Part::Header(lines))
    }

    fn new(part: Part) -> Self {
        Self {
            position: Position::Start,
            after_cr: false,
            part,
        }
    }

    /// Whether more of the message is wanted; after that the rest need not be read.
    pub fn wants_more(&self) -> bool {
        self.part != Part::Body(0)
    }

    /// Appends the next chunk of the message to `out`; it grows by at most twice the chunk.
    pub fn push(&mut self, mut chunk: &[u8], out: &mut BytesMut) {
        while self.wants_more() && !chunk.is_empty() {
            let end = chunk.iter().position(|octet| *octet == b'\n');
            let (piece, rest) = chunk.split_at(end.map_or(chunk.len(), |end| end + 1));
            self.piece(piece, end.is_some(), out);
            chunk = rest;
        }
    }

    /// Appends the end: a CRLF if the last line lacks it, and the line with the dot.
    pub fn finish(self, out: &mut BytesMut) {
        if self.position != Position::Start {
            out.put_slice(if self.after_cr { b"\n" } else { b"\r\n" });
        }
        out.put_slice(b".\r\n");
    }

    /// One piece of one line, with its LF if `ends`.
    fn piece(&mut self, piece: &[u8], ends: bool, out: &mut BytesMut) {
        if self.position == Position::Start && piece[0] == b'.' {
            out.put_u8(b'.');
        }
        out.put_slice(piece);
        self.after_cr = piece.last() == Some(&b'\r');
        let empty = match self.position {
            Position::Start => piece == b"\r\n" || piece == b"\n",
            Position::StartCr => piece == b"\n",
            Position::Inside => false,
        };
        if ends {
            self.position = Position::Start;
            self.line_ended(empty);
        } else if self.position == Position::Start && piece == b"\r" {
            self.position = Position::StartCr;
        } else {
            self.position = Position::Inside;
        }
    }

    fn line_ended(&mut self, empty: bool) {
        self.part = match self.part {
            Part::Header(lines) if empty => Part::Body(lines),
            Part::Body(lines) => Part::Body(lines.saturating_sub(1)),
            other => other,
        };
    }
}

/// Stuffs any octets whole and octet by octet: both must agree, end once, and give the octets
/// back when unstuffed.
pub fn fuzz(data: &[u8]) {
    let whole = stuffed(Stuffer::whole(), [data]);
    assert_eq!(whole, stuffed(Stuffer::whole(), data.chunks(1)));
    assert_eq!(unstuffed(&whole), ended(data));
    let lines = u32::from(data.first().copied().unwrap_or_default() % 4);
    let top = stuffed(Stuffer::top(lines), [data]);
    assert_eq!(top, stuffed(Stuffer::top(lines), data.chunks(1)));
    assert!(ended(data).starts_with(&unstuffed(&top)));
}

fn stuffed<'a>(mut stuffer: Stuffer, chunks: impl IntoIterator<Item = &'a [u8]>) -> BytesMut {
    let mut out = BytesMut::new();
    for chunk in chunks {
        stuffer.push(chunk, &mut out);
    }
    stuffer.finish(&mut out);
    out
}

/// What a client that ends lines at LF reads; the line with the dot must be the last.
fn unstuffed(stuffed: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut lines = stuffed.split_inclusive(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line == b".\r\n" {
            assert!(lines.peek().is_none(), "ended early");
            return message;
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    unreachable!("never ended")
}

/// The octets with the CRLF that ends their last line.
fn ended(data: &[u8]) -> Vec<u8> {
    let end: &[u8] = match data.last() {
        None | Some(b'\n') => b"",
        Some(b'\r') => b"\n",
        Some(_) => b"\r\n",
    };
    [data, end].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &str = "Subject: a\r\n.b: c\r\n\r\n.\r\n..x\r\nlast";

    fn text(stuffer: Stuffer, message: &str) -> String {
        String::from_utf8(stuffed(stuffer, [message.as_bytes()]).to_vec()).unwrap()
    }

    #[test]
    fn whole_messages() {
        assert_eq!(text(Stuffer::whole(), ""), ".\r\n");
        assert_eq!(text(Stuffer::whole(), "a\r\n"), "a\r\n.\r\n");
        assert_eq!(text(Stuffer::whole(), "a\r"), "a\r\n.\r\n");
        assert_eq!(
            text(Stuffer::whole(), MESSAGE),
            "Subject: a\r\n..b: c\r\n\r\n..\r\n...x\r\nlast\r\n.\r\n"
        );
    }

    #[test]
    fn top_cuts_after_so_many_lines() {
        let head = "Subject: a\r\n..b: c\r\n\r\n";
        for (lines, body) in [(0, ""), (1, "..\r\n"), (2, "..\r\n...x\r\n")] {
            assert_eq!(
                text(Stuffer::top(lines), MESSAGE),
                format!("{head}{body}.\r\n")
            );
        }
        let whole = text(Stuffer::whole(), MESSAGE);
        assert_eq!(text(Stuffer::top(3), MESSAGE), whole);
        assert_eq!(text(Stuffer::top(u32::MAX), MESSAGE), whole);
        assert_eq!(
            text(Stuffer::top(0), "Only: header\r\n"),
            "Only: header\r\n.\r\n"
        );
    }

    #[test]
    fn top_says_when_it_has_enough() {
        let (mut stuffer, mut out) = (Stuffer::top(1), BytesMut::new());
        stuffer.push(b"A: b\r\n\r", &mut out);
        stuffer.push(b"\none\r", &mut out);
        assert!(stuffer.wants_more());
        stuffer.push(b"\ntwo\r\n", &mut out);
        assert!(!stuffer.wants_more());
        assert_eq!(&out[..], b"A: b\r\n\r\none\r\n");
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_messages(data in "([a.]{0,3}(\r\n|\r|\n)?){0,12}") {
            fuzz(data.as_bytes());
        }
    }
}
