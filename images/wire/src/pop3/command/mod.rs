//! Command lines: keyword, arguments.

use std::fmt;

use bytes::Bytes;

use super::MAX_COMMAND;
use crate::secret::Secret;

mod arguments;
mod verb;

pub(super) use verb::Told;
pub use verb::Verb;

use arguments::{given, text, with_arguments};

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
        let keyword = std::str::from_utf8(keyword).map_err(|_| CommandError::Unknown)?;
        let verb: Verb = keyword.parse().map_err(|_| CommandError::Unknown)?;
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
mod tests;
