//! Replies (RFC 5321 section 4.2) with enhanced status codes (RFC 2034, RFC 3463).

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut as _, BytesMut};

/// The longest text of one reply line: 512 octets (RFC 5321 section 4.5.3.1.5) without CRLF, code,
/// separator, and an enhanced code of at most ten octets.
const MAX_TEXT: usize = 512 - 2 - 4 - 10;

/// class.subject.detail; the class is the first digit of the reply's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced(pub u8, pub u8, pub u8);

/// One reply, of one or several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    /// Lines are separated by LF.
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply without an enhanced code: the greeting, answers to HELO and EHLO, 354.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self {
            code,
            enhanced: None,
            text,
        }
    }

    /// A reply whose lines all carry `class.subject.detail`; lines of `text` end with LF.
    pub fn new(code: u16, subject: u8, detail: u8, text: impl Into<Cow<'static, str>>) -> Self {
        let class = u8::try_from(code / 100).unwrap_or(5);
        let (enhanced, text) = (Some(Enhanced(class, subject, detail)), text.into());
        Self {
            code,
            enhanced,
            text,
        }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether it says yes.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends it as it goes over the wire. Control characters in the text become `?` and lines
    /// are cut to what RFC 5321 allows.
    pub fn write(&self, out: &mut BytesMut) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            self.write_line(separator, line, out);
        }
    }

    fn write_line(&self, separator: char, line: &str, out: &mut BytesMut) {
        out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
        if let Some(Enhanced(class, subject, detail)) = self.enhanced {
            out.extend_from_slice(format!("{class}.{subject}.{detail} ").as_bytes());
        }
        let harmless = |c: u8| if matches!(c, b' '..=b'~') { c } else { b'?' };
        for octet in line.bytes().take(MAX_TEXT).map(harmless) {
            out.put_u8(octet);
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Reply {
    /// On one line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(Enhanced(class, subject, detail)) = self.enhanced {
            write!(f, "{class}.{subject}.{detail} ")?;
        }
        f.write_str(&self.text.replace('\n', " "))
    }
}

/// Whatever the text, the lines are short and each starts with the code.
pub(super) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let lines = text.split('\n').count();
    let mut out = BytesMut::new();
    Reply::new(550, 255, 255, text).write(&mut out);
    let written: Vec<&[u8]> = out.split_inclusive(|&c| c == b'\n').collect();
    assert_eq!(written.len(), lines);
    for line in written {
        assert!(line.starts_with(b"550") && line.ends_with(b"\r\n") && line.len() <= 512);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn one_line_and_several() {
        let reply = Reply::new(250, 1, 5, "fine");
        assert_eq!(written(&reply), "250 2.1.5 fine\r\n");
        assert_eq!(reply.to_string(), "250 2.1.5 fine");
        let reply = Reply::plain(250, "host\nSIZE 10\nHELP");
        assert_eq!(written(&reply), "250-host\r\n250-SIZE 10\r\n250 HELP\r\n");
        let reply = Reply::new(214, 0, 0, "a\nb");
        assert_eq!(written(&reply), "214-2.0.0 a\r\n214 2.0.0 b\r\n");
    }

    #[test]
    fn no_text_breaks_the_line() {
        assert_eq!(
            written(&Reply::new(501, 5, 4, "a\r\u{7f}é")),
            "501 5.5.4 a????\r\n"
        );
    }
}
