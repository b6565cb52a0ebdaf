//! One command line, parsed.

use super::path::{ForwardPath, PathError, ReversePath};
use super::verb::Verb;

mod helo;
mod mail;
mod parameters;

pub use helo::HeloName;
pub use mail::{BodyType, Mail};

use parameters::{after, parameters, size};

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// HELO domain
    Helo(HeloName),
    /// EHLO domain
    Ehlo(HeloName),
    /// LHLO domain (RFC 2033)
    Lhlo(HeloName),
    /// MAIL FROM:<path> [SIZE=n] [BODY=7BIT|8BITMIME]
    Mail(Mail),
    /// RCPT TO:<path>
    Rcpt(ForwardPath),
    /// DATA
    Data,
    /// BDAT size [LAST] (RFC 3030); the octets follow the line.
    Bdat {
        /// Octets that follow.
        size: u64,
        /// Whether the message ends with them.
        last: bool,
    },
    /// RSET
    Rset,
    /// NOOP [text]
    Noop,
    /// QUIT
    Quit,
    /// VRFY text
    Vrfy,
    /// EXPN text
    Expn,
    /// HELP [text]
    Help,
    /// STARTTLS (RFC 3207)
    StartTls,
}

/// A line that is not a command, in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Octets outside of printable ASCII (SMTPUTF8 is not offered).
    #[error("only printable ASCII is allowed here")]
    NotPrintable,
    /// No such verb.
    #[error("no such command")]
    Unknown,
    /// A known verb with arguments that it does not take.
    #[error("{} takes {usage}", verb.as_str())]
    Syntax {
        /// The verb.
        verb: Verb,
        /// What would work.
        usage: &'static str,
    },
    /// The path of MAIL.
    #[error("{0}")]
    Sender(PathError),
    /// The path of RCPT.
    #[error("{0}")]
    Recipient(PathError),
    /// A parameter that was not announced (RFC 5321 section 4.1.1.11).
    #[error("this parameter is not known")]
    Parameter(Verb),
}

impl Command {
    /// Reads a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        if !line.iter().all(|c| matches!(c, b' '..=b'~')) {
            return Err(CommandError::NotPrintable);
        }
        let line = std::str::from_utf8(line).map_err(|_| CommandError::NotPrintable)?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb: Verb = word.parse().map_err(|_| CommandError::Unknown)?;
        let rest = rest.trim_end_matches(' ');
        let bare = |verb, command| match rest {
            "" => Ok(command),
            _ => Err(CommandError::Syntax {
                verb,
                usage: "no argument",
            }),
        };
        match verb {
            Verb::Helo => HeloName::parse(Verb::Helo, rest).map(Self::Helo),
            Verb::Ehlo => HeloName::parse(Verb::Ehlo, rest).map(Self::Ehlo),
            Verb::Lhlo => HeloName::parse(Verb::Lhlo, rest).map(Self::Lhlo),
            Verb::Mail => Mail::parse(rest).map(Self::Mail),
            Verb::Rcpt => recipient(rest).map(Self::Rcpt),
            Verb::Bdat => chunk(rest),
            Verb::Data => bare(Verb::Data, Self::Data),
            Verb::Rset => bare(Verb::Rset, Self::Rset),
            Verb::Quit => bare(Verb::Quit, Self::Quit),
            Verb::StartTls => bare(Verb::StartTls, Self::StartTls),
            Verb::Noop => Ok(Self::Noop),
            Verb::Help => Ok(Self::Help),
            Verb::Vrfy => text(Verb::Vrfy, rest, Self::Vrfy),
            Verb::Expn => text(Verb::Expn, rest, Self::Expn),
        }
    }

    /// Its verb.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Helo(_) => Verb::Helo,
            Self::Ehlo(_) => Verb::Ehlo,
            Self::Lhlo(_) => Verb::Lhlo,
            Self::Mail(_) => Verb::Mail,
            Self::Rcpt(_) => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat { .. } => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Quit => Verb::Quit,
            Self::Vrfy => Verb::Vrfy,
            Self::Expn => Verb::Expn,
            Self::Help => Verb::Help,
            Self::StartTls => Verb::StartTls,
        }
    }
}

fn recipient(rest: &str) -> Result<ForwardPath, CommandError> {
    let usage = CommandError::Syntax {
        verb: Verb::Rcpt,
        usage: "TO:<address>",
    };
    let rest = after(rest, "TO:").ok_or(usage)?;
    let (to, rest) = ForwardPath::parse(rest).map_err(CommandError::Recipient)?;
    match parameters(Verb::Rcpt, rest)?.next() {
        None => Ok(to),
        Some(_) => Err(CommandError::Parameter(Verb::Rcpt)),
    }
}

/// bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] (RFC 3030 section 2)
fn chunk(rest: &str) -> Result<Command, CommandError> {
    let wrong = CommandError::Syntax {
        verb: Verb::Bdat,
        usage: "a size and maybe LAST",
    };
    let (octets, marker) = rest.split_once(' ').unwrap_or((rest, ""));
    let last = marker.eq_ignore_ascii_case("LAST");
    match size(octets) {
        Some(size) if last || marker.is_empty() => Ok(Command::Bdat { size, last }),
        _ => Err(wrong),
    }
}

fn text(verb: Verb, rest: &str, command: Command) -> Result<Command, CommandError> {
    match rest {
        "" => Err(CommandError::Syntax {
            verb,
            usage: "a name",
        }),
        _ => Ok(command),
    }
}

pub(super) fn fuzz(data: &[u8]) {
    match Command::parse(data) {
        Ok(Command::Mail(mail)) => {
            let printed = format!("<{}>", mail.from);
            assert_eq!(ReversePath::parse(&printed), Ok((mail.from, "")));
        }
        Ok(Command::Rcpt(to)) => {
            let printed = format!("<{to}>");
            assert_eq!(ForwardPath::parse(&printed), Ok((to, "")));
        }
        Ok(Command::Ehlo(name) | Command::Helo(name) | Command::Lhlo(name)) => {
            assert!(name.as_str().len() <= HeloName::MAX_OCTETS);
        }
        Ok(command) => assert!(Verb::ALL.contains(&command.verb())),
        Err(error) => assert!(!error.to_string().contains(['\r', '\n'])),
    }
}

#[cfg(test)]
mod tests;
