//! A look at a message's header while it streams by: loops, Message-ID, Return-Path.

/// Longest name and spaces before the colon that are looked at; longer names are none of ours.
const MAX_NAME: usize = 24;
/// Octets of the Message-ID that are kept for the log.
const MAX_MESSAGE_ID: usize = 255;

/// Passes a message through without its Return-Path fields (RFC 5321 section 4.4: only the final
/// delivery writes one), counts Received and keeps the Message-ID.
#[derive(Debug)]
pub struct HeaderScanner {
    state: State,
    field: Field,
    /// A name that was cut by the end of a read.
    held: Vec<u8>,
    received: u32,
    message_id: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Name,
    Value,
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Other,
    Received,
    MessageId,
    ReturnPath,
}

impl Default for HeaderScanner {
    fn default() -> Self {
        Self {
            state: State::LineStart,
            field: Field::Other,
            held: Vec::new(),
            received: 0,
            message_id: Vec::new(),
        }
    }
}

impl HeaderScanner {
    /// How many Received fields there were.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// The first 255 octets of the Message-ID without spaces; none when there is none.
    pub fn message_id(&self) -> Option<String> {
        let id = &self.message_id;
        (!id.is_empty()).then(|| String::from_utf8_lossy(id).into_owned())
    }

    /// Looks at `input`; what is to be kept goes to `sink`, in order.
    pub fn scan(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) {
        let (mut at, mut start) = (0, 0);
        while let Some(&octet) = input.get(at) {
            match self.state {
                State::Body => break,
                State::LineStart => {
                    self.line_start(octet);
                    if self.state == State::Name {
                        emit(&input[start..at], sink);
                        start = at;
                    }
                }
                State::Name => {
                    let name = &input[start..at];
                    if octet == b':' || octet == b'\n' || self.held.len() + name.len() > MAX_NAME {
                        if self.name_ended(octet, name, sink) {
                            start = at + 1;
                        }
                        at += 1;
                    } else {
                        at += 1;
                    }
                }
                State::Value => {
                    let end = memchr::memchr(b'\n', &input[at..]).map(|found| at + found + 1);
                    self.value(&input[at..end.unwrap_or(input.len())]);
                    at = end.unwrap_or(input.len());
                    if self.field == Field::ReturnPath {
                        start = at;
                    }
                    if end.is_some() {
                        self.state = State::LineStart;
                    }
                }
            }
        }
        match self.state {
            State::Name => self.held.extend_from_slice(&input[start..]),
            _ => emit(&input[start..], sink),
        }
    }

    /// Ends the message: gives out a name that no colon followed.
    pub fn finish(&mut self, sink: &mut impl FnMut(&[u8])) {
        emit(&self.held, sink);
        self.held.clear();
        self.state = State::Body;
    }

    fn line_start(&mut self, octet: u8) {
        self.state = match octet {
            // A folded line belongs to the field before it.
            b' ' | b'\t' => State::Value,
            b'\r' | b'\n' => State::Body,
            _ => {
                self.field = Field::Other;
                State::Name
            }
        };
    }

    /// The name is whole: true when its field is dropped. `name` is the part in this read.
    fn name_ended(&mut self, octet: u8, name: &[u8], sink: &mut impl FnMut(&[u8])) -> bool {
        self.field = if self.held.is_empty() {
            field(octet, name)
        } else {
            let whole = [self.held.as_slice(), name].concat();
            field(octet, &whole)
        };
        self.state = if octet == b'\n' {
            State::LineStart
        } else {
            State::Value
        };
        self.received += u32::from(self.field == Field::Received);
        let dropped = self.field == Field::ReturnPath;
        if !dropped {
            emit(&self.held, sink);
        }
        self.held.clear();
        dropped
    }

    fn value(&mut self, value: &[u8]) {
        if self.field == Field::MessageId {
            let room = MAX_MESSAGE_ID - self.message_id.len();
            let visible = value.iter().filter(|c| c.is_ascii_graphic());
            self.message_id.extend(visible.take(room));
        }
    }
}

fn field(octet: u8, name: &[u8]) -> Field {
    if octet != b':' {
        return Field::Other;
    }
    // Spaces before the colon are obsolete but legal to read (RFC 5322 section 4.5).
    let name = name.trim_ascii_end();
    let known = [
        ("Received", Field::Received),
        ("Message-ID", Field::MessageId),
        ("Return-Path", Field::ReturnPath),
    ];
    let found = known
        .into_iter()
        .find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes()));
    found.map_or(Field::Other, |(_, field)| field)
}

fn emit(kept: &[u8], sink: &mut impl FnMut(&[u8])) {
    if !kept.is_empty() {
        sink(kept);
    }
}

/// Any cut into reads gives the same; what is kept has no Return-Path to drop.
pub(super) fn fuzz(data: &[u8]) {
    let whole = scan([data].into_iter());
    assert_eq!(whole, scan(data.chunks(1)));
    assert_eq!(whole, scan(data.chunks(7)));
    let again = scan([whole.0.as_slice()].into_iter());
    assert_eq!(again.0, whole.0);
}

fn scan<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, u32, Option<String>) {
    let (mut scanner, mut kept) = (HeaderScanner::default(), Vec::new());
    let mut sink = |part: &[u8]| kept.extend_from_slice(part);
    for read in reads {
        scanner.scan(read, &mut sink);
    }
    scanner.finish(&mut sink);
    (kept, scanner.received(), scanner.message_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> (String, u32, Option<String>) {
        fuzz(text.as_bytes());
        let (kept, received, id) = scan([text.as_bytes()].into_iter());
        (String::from_utf8(kept).unwrap(), received, id)
    }

    #[test]
    fn return_path_goes_with_its_folds() {
        let (kept, received, id) = seen(
            "Return-Path: <a@b>\r\n\tx\r\nReceived: y\r\n z\r\nRETURN-PATH : <c@d>\r\n\
             message-id:\r\n <1@e>\r\nReceived:\r\nTo: f\r\n\r\nReturn-Path: body\r\nReceived: b\r\n",
        );
        let expected = "Received: y\r\n z\r\nmessage-id:\r\n <1@e>\r\nReceived:\r\nTo: f\r\n\r\n\
                        Return-Path: body\r\nReceived: b\r\n";
        assert_eq!((kept.as_str(), received), (expected, 2));
        assert_eq!(id.as_deref(), Some("<1@e>"));
    }

    #[test]
    fn odd_headers_pass_unharmed() {
        for text in [
            "",
            "\r\nReturn-Path: x\r\n",
            "no colon\r\nTo: a\r\n\r\n",
            "Return-Path",
            "Return-Path-Of-A-Very-Long-Name-Indeed: x\r\n",
            "Return-Paths: x\r\n",
            " Return-Path: folded at the start\r\n",
        ] {
            assert_eq!(seen(text).0, text, "{text:?}");
        }
        assert_eq!(seen("Return-Path: x").0, "");
        assert_eq!(seen("Message-ID: \r\n\r\n").2, None);
        assert_eq!(
            seen(&format!("Message-ID: {}", "a".repeat(999)))
                .2
                .unwrap()
                .len(),
            255
        );
    }
}
