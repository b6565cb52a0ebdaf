//! Command lines: keyword, arguments.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::MAX_COMMAND;
use crate::secret::Secret;

/// A command's keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "they are the keywords of RFC 1939, 2449, 2595 and 5034"
)]
pub enum Verb {
    Auth,
    Capa,
    Dele,
    List,
    Noop,
    Pass,
    Quit,
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
}

impl Verb {
    /// Every verb, in order of the alphabet.
    pub const ALL: [Self; 14] = [
        Self::Auth,
        Self::Capa,
        Self::Dele,
        Self::List,
        Self::Noop,
        Self::Pass,
        Self::Quit,
        Self::Retr,
        Self::Rset,
        Self::Stat,
        Self::Stls,
        Self::Top,
        Self::Uidl,
        Self::User,
    ];

    /// The keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "AUTH",
            Self::Capa => "CAPA",
            Self::Dele => "DELE",
            Self::List => "LIST",
            Self::Noop => "NOOP",
            Self::Pass => "PASS",
            Self::Quit => "QUIT",
            Self::Retr => "RETR",
            Self::Rset => "RSET",
            Self::Stat => "STAT",
            Self::Stls => "STLS",
            Self::Top => "TOP",
            Self::Uidl => "UIDL",
            Self::User => "USER",
        }
    }

    /// How the command is written, for the sentence that refuses another form.
    const fn usage(self) -> &'static str {
        match self {
            Self::Auth => "AUTH mechanism [initial-response]",
            Self::Dele => "DELE number",
            Self::List => "LIST [number]",
            Self::Pass => "PASS password",
            Self::Retr => "RETR number",
            Self::Top => "TOP number lines",
            Self::Uidl => "UIDL [number]",
            Self::User => "USER name",
            other => other.as_str(),
        }
    }
}

/// A command with its arguments. Message numbers start at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Log in by SASL (RFC 5034); both arguments are as sent, the response not yet decoded.
    Auth {
        /// The mechanism's name.
        mechanism: String,
        /// The initial response in base64, if there is one.
        initial: Option<Secret>,
    },
    /// What the server can do (RFC 2449 section 5).
    Capa,
    /// Mark a message as deleted.
    Dele(u32),
    /// Size of one message or of all.
    List(Option<u32>),
    /// Nothing.
    Noop,
    /// The password that goes with USER; all octets after the first space, spaces too.
    Pass(Secret),
    /// End the session.
    Quit,
    /// Send a message.
    Retr(u32),
    /// Unmark all messages.
    Rset,
    /// Number and size of the messages.
    Stat,
    /// Start TLS (RFC 2595 section 4).
    Stls,
    /// Send a message's header and the first lines of its body.
    Top {
        /// The message.
        number: u32,
        /// How many lines of the body.
        lines: u32,
    },
    /// Unique id of one message or of all.
    Uidl(Option<u32>),
    /// Name of the mailbox.
    User(String),
}

/// A line that is no command; never quotes the client's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The keyword is none of ours.
    #[error("unknown command")]
    Unknown,
    /// Longer than RFC 2449 section 4 allows.
    #[error("command line too long: at most {MAX_COMMAND} octets")]
    TooLong,
    /// A control character, or no UTF-8 where text is needed.
    #[error("control characters or invalid UTF-8 in the command")]
    NotText,
    /// Wrong number or form of arguments.
    #[error("write: {}", .0.usage())]
    Arguments(Verb),
}

impl Command {
    /// Reads a line without its end. Keywords may be in any case, arguments are exact; spaces at
    /// the end are forgiven but for USER and PASS.
    pub fn parse(line: &Bytes) -> Result<Self, CommandError> {
        if line.len() + 2 > MAX_COMMAND {
            return Err(CommandError::TooLong);
        }
        if line.iter().any(|octet| octet.is_ascii_control()) {
            return Err(CommandError::NotText);
        }
        let (keyword, rest) = match line.iter().position(|octet| *octet == b' ') {
            Some(space) => (&line[..space], Some(&line[space + 1..])),
            None => (&line[..], None),
        };
        let verb = Verb::ALL
            .into_iter()
            .find(|verb| verb.as_str().as_bytes().eq_ignore_ascii_case(keyword))
            .ok_or(CommandError::Unknown)?;
        match verb {
            Verb::Pass => Ok(Self::Pass(Secret::new(given(verb, rest)?))),
            Verb::User => Ok(Self::User(text(given(verb, rest)?)?.to_owned())),
            _ => with_arguments(verb, text(rest.unwrap_or_default())?),
        }
    }

    /// The command's keyword.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Auth { .. } => Verb::Auth,
            Self::Capa => Verb::Capa,
            Self::Dele(_) => Verb::Dele,
            Self::List(_) => Verb::List,
            Self::Noop => Verb::Noop,
            Self::Pass(_) => Verb::Pass,
            Self::Quit => Verb::Quit,
            Self::Retr(_) => Verb::Retr,
            Self::Rset => Verb::Rset,
            Self::Stat => Verb::Stat,
            Self::Stls => Verb::Stls,
            Self::Top { .. } => Verb::Top,
            Self::Uidl(_) => Verb::Uidl,
            Self::User(_) => Verb::User,
        }
    }

    /// Prints the line with its CRLF, for a client; the inverse of [`Command::parse`].
    pub fn to_line(&self) -> Secret {
        let mut line = self.verb().as_str().as_bytes().to_vec();
        let mut add = |argument: &dyn fmt::Display| {
            line.extend_from_slice(format!(" {argument}").as_bytes());
        };
        match self {
            Self::Auth { mechanism, .. } => add(mechanism),
            Self::Dele(number) | Self::Retr(number) => add(number),
            Self::List(Some(number)) | Self::Uidl(Some(number)) => add(number),
            Self::Top { number, lines } => add(&format_args!("{number} {lines}")),
            Self::User(name) => add(name),
            _ => {}
        }
        if let Self::Pass(secret)
        | Self::Auth {
            initial: Some(secret),
            ..
        } = self
        {
            line.push(b' ');
            line.extend_from_slice(secret.expose());
        }
        line.extend_from_slice(b"\r\n");
        Secret::new(line)
    }
}

/// The argument of USER and PASS, which may not be empty.
fn given(verb: Verb, rest: Option<&[u8]>) -> Result<&[u8], CommandError> {
    rest.filter(|argument| !argument.is_empty())
        .ok_or(CommandError::Arguments(verb))
}

fn text(octets: &[u8]) -> Result<&str, CommandError> {
    std::str::from_utf8(octets).map_err(|_| CommandError::NotText)
}

/// The commands whose arguments are separated by single spaces.
fn with_arguments(verb: Verb, rest: &str) -> Result<Command, CommandError> {
    let rest = rest.trim_end_matches(' ');
    let mut arguments = rest.split(' ').filter(|_| !rest.is_empty());
    let (first, second) = (arguments.next(), arguments.next());
    let command = match (verb, first, second) {
        (Verb::Capa, None, None) => Some(Command::Capa),
        (Verb::Noop, None, None) => Some(Command::Noop),
        (Verb::Quit, None, None) => Some(Command::Quit),
        (Verb::Rset, None, None) => Some(Command::Rset),
        (Verb::Stat, None, None) => Some(Command::Stat),
        (Verb::Stls, None, None) => Some(Command::Stls),
        (Verb::List, None, None) => Some(Command::List(None)),
        (Verb::Uidl, None, None) => Some(Command::Uidl(None)),
        (Verb::List, Some(one), None) => number(one).map(|n| Command::List(Some(n))),
        (Verb::Uidl, Some(one), None) => number(one).map(|n| Command::Uidl(Some(n))),
        (Verb::Dele, Some(one), None) => number(one).map(Command::Dele),
        (Verb::Retr, Some(one), None) => number(one).map(Command::Retr),
        (Verb::Top, Some(one), Some(lines)) => top(one, lines),
        (Verb::Auth, Some(mechanism), initial) => auth(mechanism, initial),
        _ => None,
    };
    let exact = arguments.next().is_none();
    command
        .filter(|_| exact)
        .ok_or(CommandError::Arguments(verb))
}

/// A message number: digits, above 0. Numbers too large for any mailbox are refused here.
fn number(text: &str) -> Option<u32> {
    digits(text).filter(|number| *number > 0)
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|octet| octet.is_ascii_digit()))
}

/// A line count over 32 bits means all lines: it is a count, not a name of something.
fn top(number_text: &str, lines: &str) -> Option<Command> {
    let lines = digits::<u128>(lines)?;
    Some(Command::Top {
        number: number(number_text)?,
        lines: u32::try_from(lines).unwrap_or(u32::MAX),
    })
}

fn auth(mechanism: &str, initial: Option<&str>) -> Option<Command> {
    (!mechanism.is_empty() && initial != Some("")).then(|| Command::Auth {
        mechanism: mechanism.to_owned(),
        initial: initial.map(Secret::new),
    })
}

/// Feeds any octets to the parser; what it accepts must mean the same when printed.
pub fn fuzz(data: &[u8]) {
    let line = Bytes::copy_from_slice(data);
    if let Ok(command) = Command::parse(&line) {
        let printed = command.to_line();
        let printed = Bytes::copy_from_slice(printed.expose());
        assert_eq!(
            Command::parse(&printed.slice(..printed.len() - 2)),
            Ok(command)
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(&Bytes::copy_from_slice(line.as_bytes()))
    }

    #[test]
    fn every_command_both_ways() {
        let auth = |initial: Option<&str>| Command::Auth {
            mechanism: "PLAIN".to_owned(),
            initial: initial.map(Secret::new),
        };
        for (line, command) in [
            ("AUTH PLAIN", auth(None)),
            ("AUTH PLAIN dGVzdA==", auth(Some("dGVzdA=="))),
            ("AUTH PLAIN =", auth(Some("="))),
            ("CAPA", Command::Capa),
            ("DELE 1", Command::Dele(1)),
            ("LIST", Command::List(None)),
            ("LIST 4294967295", Command::List(Some(u32::MAX))),
            ("NOOP", Command::Noop),
            (
                "PASS  two  spaces ",
                Command::Pass(Secret::new(" two  spaces ")),
            ),
            ("QUIT", Command::Quit),
            ("RETR 2", Command::Retr(2)),
            ("RSET", Command::Rset),
            ("STAT", Command::Stat),
            ("STLS", Command::Stls),
            (
                "TOP 1 0",
                Command::Top {
                    number: 1,
                    lines: 0,
                },
            ),
            ("UIDL", Command::Uidl(None)),
            ("UIDL 3", Command::Uidl(Some(3))),
            (
                "USER josé@example.org",
                Command::User("josé@example.org".to_owned()),
            ),
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&command), "{line}");
            assert_eq!(command.to_line().expose(), format!("{line}\r\n").as_bytes());
        }
    }

    #[test]
    fn keywords_in_any_case_and_spaces_at_the_end() {
        assert_eq!(parse("stat"), Ok(Command::Stat));
        assert_eq!(parse("UiDl 7 "), Ok(Command::Uidl(Some(7))));
        assert_eq!(parse("quit   "), Ok(Command::Quit));
        assert_eq!(parse("top 1 99999999999").map(|c| c.verb()), Ok(Verb::Top));
    }

    #[test]
    fn wrong_arguments_say_what_to_write() {
        for line in [
            "STAT 1",
            "LIST 0",
            "LIST -1",
            "LIST +1",
            "LIST a",
            "LIST 1 2",
            "LIST  1",
            "LIST 4294967296",
            "RETR",
            "DELE",
            "DELE 1 2",
            "TOP 1",
            "TOP 1 2 3",
            "TOP 0 1",
            "TOP 1 -1",
            "USER",
            "USER ",
            "PASS",
            "PASS ",
            "AUTH",
            "AUTH PLAIN a b",
            "QUIT now",
            "CAPA x",
            "RSET 1",
            "STLS x",
            "NOOP x",
            "UIDL 1 1",
        ] {
            assert!(
                matches!(parse(line), Err(CommandError::Arguments(_))),
                "{line}"
            );
        }
        let error = parse("TOP 1").unwrap_err().to_string();
        assert_eq!(error, "write: TOP number lines");
    }

    #[test]
    fn refuses_what_is_no_command() {
        for (line, error) in [
            ("", CommandError::Unknown),
            (" STAT", CommandError::Unknown),
            (
                "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
                CommandError::Unknown,
            ),
            ("LAST", CommandError::Unknown),
            ("STAT\0", CommandError::NotText),
            ("PASS a\tb", CommandError::NotText),
            ("USER a\rQUIT", CommandError::NotText),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
        let bad = Bytes::from_static(b"USER \xff");
        assert_eq!(Command::parse(&bad), Err(CommandError::NotText));
        let pass = Bytes::from_static(b"PASS \xff");
        assert_eq!(
            Command::parse(&pass),
            Ok(Command::Pass(Secret::new(b"\xff".to_vec())))
        );
        assert_eq!(
            parse(&format!("PASS {}", "a".repeat(249))),
            Err(CommandError::TooLong)
        );
        assert!(parse(&format!("PASS {}", "a".repeat(248))).is_ok());
    }

    #[test]
    fn passwords_do_not_print() {
        for line in ["PASS hunter2", "AUTH PLAIN aHVudGVyMg=="] {
            let shown = format!("{:?}", parse(line).unwrap());
            assert!(
                !shown.contains("hunter2") && !shown.contains("aHVu"),
                "{shown}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_commands(line in "(AUTH|dele|LIST|PASS|TOP|USER|UIDL) ?[ 0-9a-z=é]{0,12}") {
            fuzz(line.as_bytes());
        }
    }
}
