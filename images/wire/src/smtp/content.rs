//! What DATA and BDAT carry: dots unstuffed, the end found, bad line endings noticed.
//!
//! Only CRLF ends a line and only CRLF.CRLF ends DATA. A bare CR, a bare LF and NUL are content
//! that the caller refuses after the end; they never end anything, so nothing can be smuggled
//! behind them.

/// Decodes one message's content as it streams in.
#[derive(Debug)]
pub struct Content {
    stuffed: bool,
    state: State,
    flaws: Flaws,
    octets: u64,
}

/// What makes content unacceptable (RFC 5321 sections 2.3.8 and 4.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flaws {
    /// A CR without LF.
    pub bare_cr: bool,
    /// An LF without CR.
    pub bare_lf: bool,
    /// An octet of value 0.
    pub nul: bool,
}

/// How far [`Content::decode`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input is consumed; there is more to come.
    More,
    /// The content ended; this many octets of the input belong to it.
    Ended(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start or after CRLF.
    LineStart,
    /// After a dot at the start of a line, which is not content.
    Dot,
    /// After such a dot and CR, which is not yet known to be content.
    DotCr,
    /// Inside a line.
    Text,
    /// After CR inside a line.
    Cr,
}

impl Flaws {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.bare_cr || self.bare_lf || self.nul
    }
}

impl Content {
    /// For DATA: with stuffed dots, ended by CRLF.CRLF.
    pub fn data() -> Self {
        Self::new(true)
    }

    /// For BDAT: as it is, ended by [`Content::finish`].
    pub fn chunks() -> Self {
        Self::new(false)
    }

    fn new(stuffed: bool) -> Self {
        Self {
            stuffed,
            state: State::LineStart,
            flaws: Flaws::default(),
            octets: 0,
        }
    }

    /// What was wrong so far.
    pub fn flaws(&self) -> Flaws {
        self.flaws
    }

    /// Octets of content so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Decodes `input`; content goes to `sink` in order, in as few slices as possible.
    pub fn decode(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) -> Progress {
        let (mut at, mut start) = (0, 0);
        while let Some(&octet) = input.get(at) {
            match self.state {
                State::LineStart if self.stuffed && octet == b'.' => {
                    self.emit(&input[start..at], sink);
                    start = at + 1;
                    at += 1;
                    self.state = State::Dot;
                }
                State::Dot if octet == b'\r' => {
                    start = at + 1;
                    at += 1;
                    self.state = State::DotCr;
                }
                State::DotCr if octet == b'\n' => return Progress::Ended(at + 1),
                State::DotCr => {
                    self.emit(b"\r", sink);
                    self.flaws.bare_cr = true;
                    self.state = State::Text;
                }
                State::Cr if octet == b'\n' => {
                    at += 1;
                    self.state = State::LineStart;
                }
                State::Cr => {
                    self.flaws.bare_cr = true;
                    self.state = State::Text;
                }
                State::LineStart | State::Dot | State::Text => {
                    at += self.text(&input[at..]);
                }
            }
        }
        self.emit(&input[start..], sink);
        Progress::More
    }

    /// Goes up to and over the next octet that matters; says how many octets that is.
    fn text(&mut self, input: &[u8]) -> usize {
        self.state = State::Text;
        let Some(at) = memchr::memchr3(b'\r', b'\n', 0, input) else {
            return input.len();
        };
        match input[at] {
            b'\r' => self.state = State::Cr,
            b'\n' => self.flaws.bare_lf = true,
            _ => self.flaws.nul = true,
        }
        at + 1
    }

    fn emit(&mut self, content: &[u8], sink: &mut impl FnMut(&[u8])) {
        if !content.is_empty() {
            self.octets += content.len() as u64;
            sink(content);
        }
    }

    /// Ends the content: supplies the CRLF that a last BDAT may lack, and says what was wrong.
    pub fn finish(&mut self, sink: &mut impl FnMut(&[u8])) -> Flaws {
        if self.state == State::Cr {
            self.flaws.bare_cr = true;
        }
        if matches!(self.state, State::Cr | State::Text) {
            self.emit(b"\r\n", sink);
        }
        self.flaws
    }
}

/// Any cut into reads gives the same; DATA ends at the first CRLF.CRLF and nowhere else; content
/// sent by DATA and by BDAT is the same content.
pub(super) fn fuzz(data: &[u8]) {
    let whole = decode(Content::data(), [data].into_iter());
    assert_eq!(whole, decode(Content::data(), data.chunks(1)));
    let mut lines = b"\r\n".to_vec();
    lines.extend_from_slice(data);
    let end = lines.windows(5).position(|window| window == b"\r\n.\r\n");
    assert_eq!(whole.ended, end.map(|at| at + 3));
    let chunks = decode(Content::chunks(), [data].into_iter());
    assert_eq!(chunks, decode(Content::chunks(), data.chunks(3)));
    let resent = decode(
        Content::data(),
        [stuff(&chunks.content).as_slice()].into_iter(),
    );
    assert_eq!(
        (resent.content, resent.flaws),
        (chunks.content, chunks.flaws)
    );
}

#[derive(Debug, PartialEq)]
struct Decoded {
    content: Vec<u8>,
    flaws: Flaws,
    ended: Option<usize>,
}

fn decode<'a>(mut decoder: Content, reads: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let (mut content, mut ended, mut consumed) = (Vec::new(), None, 0);
    for read in reads {
        let sink = &mut |part: &[u8]| content.extend_from_slice(part);
        if let Progress::Ended(octets) = decoder.decode(read, sink) {
            ended = Some(consumed + octets);
            break;
        }
        consumed += read.len();
    }
    let flaws = decoder.finish(&mut |part: &[u8]| content.extend_from_slice(part));
    assert_eq!(decoder.octets(), content.len() as u64);
    Decoded {
        content,
        flaws,
        ended,
    }
}

/// What a client sends for `content` (RFC 5321 section 4.5.2), with the end.
fn stuff(content: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for (at, &octet) in content.iter().enumerate() {
        if octet == b'.' && (at == 0 || content[..at].ends_with(b"\r\n")) {
            sent.push(b'.');
        }
        sent.push(octet);
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> (String, Flaws, bool) {
        fuzz(text.as_bytes());
        let decoded = decode(Content::data(), [text.as_bytes()].into_iter());
        let content = String::from_utf8(decoded.content).unwrap();
        (content, decoded.flaws, decoded.ended.is_some())
    }

    #[test]
    fn dots() {
        let clean = Flaws::default();
        assert_eq!(data(".\r\n"), (String::new(), clean, true));
        assert_eq!(data("a\r\n.\r\nNOOP\r\n"), ("a\r\n".into(), clean, true));
        assert_eq!(
            data("..\r\n...a\r\n.b\r\n.\r\n"),
            (".\r\n..a\r\nb\r\n".into(), clean, true)
        );
        assert!(!data("a\r\n.").2);
    }

    #[test]
    fn nothing_else_ends_data() {
        for (text, bare_cr, bare_lf, nul) in [
            ("a\n.\n", false, true, false),
            ("a\n.\r\n", false, true, false),
            ("a\r\n.\n", false, true, false),
            ("a\r.\r", true, false, false),
            ("a\r.\r\n", true, false, false),
            ("a\r\n.\r", false, false, false),
            ("a\r\n.\r\r\n", true, false, false),
            ("a\r\n.\rX\r\n", true, false, false),
            ("a\r\n\r.\r\n", true, false, false),
            ("a\r\n.\0\r\n", false, false, true),
            ("a\n\n.\n\n", false, true, false),
            ("a\n.\r", true, true, false),
        ] {
            let (_, flaws, ended) = data(text);
            assert!(!ended, "{text:?}");
            assert_eq!(
                flaws,
                Flaws {
                    bare_cr,
                    bare_lf,
                    nul
                },
                "{text:?}"
            );
        }
        let (content, flaws, ended) = data("a\n.\nMAIL FROM:<>\r\n.\r\n");
        assert_eq!((content.as_str(), ended), ("a\n.\nMAIL FROM:<>\r\n", true));
        assert!(flaws.bare_lf && flaws.any());
    }

    #[test]
    fn chunks_get_their_last_crlf() {
        for (text, expected) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\r\n", "a\r\n"),
            (".\r\nb", ".\r\nb\r\n"),
        ] {
            let decoded = decode(Content::chunks(), [text.as_bytes()].into_iter());
            assert_eq!(decoded.content, expected.as_bytes());
            assert!(!decoded.flaws.any());
        }
        let decoded = decode(Content::chunks(), [b"a\r".as_slice()].into_iter());
        assert!(decoded.flaws.bare_cr);
    }
}
