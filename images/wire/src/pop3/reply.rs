//! First lines of replies: status, response code, text.

use std::fmt::Write as _;

use bytes::{BufMut as _, BytesMut};

use super::MAX_REPLY;

/// A response code: why a command failed, for programs (RFC 2449 section 8, RFC 3206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Another session has the mailbox.
    InUse,
    /// A failure of ours that passes.
    SysTemp,
    /// A failure of ours that somebody must mend.
    SysPerm,
    /// Wrong credentials.
    Auth,
    /// The account is elsewhere at this epoch; from a shard to a proxy only.
    Moved(u64),
}

impl Code {
    fn parse(text: &str) -> Option<Self> {
        // Codes match in any case (RFC 2449 section 8).
        let upper = text.to_ascii_uppercase();
        match upper.as_str() {
            "IN-USE" => Some(Self::InUse),
            "SYS/TEMP" => Some(Self::SysTemp),
            "SYS/PERM" => Some(Self::SysPerm),
            "AUTH" => Some(Self::Auth),
            _ => {
                let epoch = upper.strip_prefix("MOVED/")?;
                let digits = epoch.bytes().all(|octet| octet.is_ascii_digit());
                epoch.parse().ok().filter(|_| digits).map(Self::Moved)
            }
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse => f.write_str("IN-USE"),
            Self::SysTemp => f.write_str("SYS/TEMP"),
            Self::SysPerm => f.write_str("SYS/PERM"),
            Self::Auth => f.write_str("AUTH"),
            Self::Moved(epoch) => write!(f, "MOVED/{epoch}"),
        }
    }
}

/// The first line of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `+OK`, else `-ERR`.
    pub ok: bool,
    /// The response code, only with `-ERR`.
    pub code: Option<Code>,
    /// What people read.
    pub text: String,
}

impl Reply {
    /// `+OK text`.
    pub fn ok(text: impl Into<String>) -> Self {
        Self {
            ok: true,
            code: None,
            text: text.into(),
        }
    }

    /// `-ERR text`.
    pub fn err(text: impl Into<String>) -> Self {
        Self {
            ok: false,
            code: None,
            text: text.into(),
        }
    }

    /// `-ERR [code] text`.
    pub fn coded(code: Code, text: impl Into<String>) -> Self {
        Self {
            ok: false,
            code: Some(code),
            text: text.into(),
        }
    }

    /// Appends the line. Control characters become `?`; text beyond 512 octets is cut.
    pub fn write(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(if self.ok { b"+OK" } else { b"-ERR" });
        if let Some(code) = self.code {
            // Writing into a buffer that grows does not fail.
            let _ = write!(out, " [{code}]");
        }
        if !self.text.is_empty() {
            out.put_u8(b' ');
        }
        for character in self.text.chars() {
            let character = if character.is_control() {
                '?'
            } else {
                character
            };
            if out.len() - start + character.len_utf8() + 2 > MAX_REPLY {
                break;
            }
            out.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.put_slice(b"\r\n");
    }

    /// Reads a line without its end; nothing if it is no reply. Codes that Buzonera does not know
    /// stay in the text.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line)
            .ok()
            .filter(|_| line.len() + 2 <= MAX_REPLY)?;
        let (ok, rest) = match line.strip_prefix("+OK") {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix("-ERR")?),
        };
        let text = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix(' ')?
        };
        let coded = || {
            let (code, text) = text.strip_prefix('[')?.split_once(']')?;
            Some((Code::parse(code)?, text.strip_prefix(' ').unwrap_or(text)))
        };
        Some(match coded().filter(|_| !ok) {
            Some((code, text)) => Self::coded(code, text),
            None => Self {
                ok,
                code: None,
                text: text.to_owned(),
            },
        })
    }
}

/// Appends a challenge of a SASL exchange: `+ ` alone (RFC 5034 section 4), as our mechanisms
/// have nothing to say.
pub fn write_challenge(out: &mut BytesMut) {
    out.put_slice(b"+ \r\n");
}

/// Appends the end of a multi-line reply.
pub fn write_end(out: &mut BytesMut) {
    out.put_slice(b".\r\n");
}

/// Feeds any octets to the parser; what it accepts must print as something equal, in one line.
pub fn fuzz(data: &[u8]) {
    let Some(reply) = Reply::parse(data) else {
        return;
    };
    let mut out = BytesMut::new();
    reply.write(&mut out);
    let line = out.strip_suffix(b"\r\n").unwrap_or_default();
    assert!(out.len() <= MAX_REPLY && !line.contains(&b'\n') && !line.contains(&b'\r'));
    if !reply.text.chars().any(char::is_control) && out.len() < MAX_REPLY {
        assert_eq!(Reply::parse(line), Some(reply));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn print(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn replies_both_ways() {
        for (line, reply) in [
            ("+OK", Reply::ok("")),
            ("+OK 2 320", Reply::ok("2 320")),
            ("+OK [x] is text", Reply::ok("[x] is text")),
            ("-ERR no such message", Reply::err("no such message")),
            ("-ERR [IN-USE] busy", Reply::coded(Code::InUse, "busy")),
            (
                "-ERR [SYS/TEMP] later",
                Reply::coded(Code::SysTemp, "later"),
            ),
            (
                "-ERR [SYS/PERM] never",
                Reply::coded(Code::SysPerm, "never"),
            ),
            ("-ERR [AUTH] no", Reply::coded(Code::Auth, "no")),
            ("-ERR [MOVED/7] gone", Reply::coded(Code::Moved(7), "gone")),
            ("-ERR [OTHER] stays", Reply::err("[OTHER] stays")),
        ] {
            assert_eq!(print(&reply), format!("{line}\r\n"));
            assert_eq!(Reply::parse(line.as_bytes()), Some(reply));
        }
        let lower = Reply::parse(b"-ERR [in-use]").unwrap();
        assert_eq!(lower.code, Some(Code::InUse));
    }

    #[test]
    fn what_is_no_reply() {
        for line in [
            "",
            "OK",
            "+OKAY",
            "-ERROR x",
            "* OK",
            "+ok",
            "-ERR [MOVED/+7] x\u{0}",
        ] {
            let reply = Reply::parse(line.as_bytes());
            assert!(reply.is_none_or(|reply| reply.code.is_none()), "{line}");
        }
        assert_eq!(Reply::parse(&[b'+'; MAX_REPLY]), None);
    }

    #[test]
    fn text_cannot_start_a_line_or_pass_the_limit() {
        assert_eq!(print(&Reply::err("a\r\n+OK b")), "-ERR a??+OK b\r\n");
        let long = print(&Reply::ok("é".repeat(600)));
        assert!(long.len() <= MAX_REPLY && long.ends_with("é\r\n"));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_replies(line in "(\\+OK|-ERR) ?(\\[[A-Za-z/0-9-]{0,10}\\])?.{0,20}") {
            fuzz(line.as_bytes());
        }
    }
}
