//! What follows a keyword.

use std::str::FromStr;

use super::{Command, CommandError, Verb};
use crate::secret::Secret;

/// The argument of USER and PASS, which may not be empty.
pub(super) fn given(verb: Verb, rest: Option<&[u8]>) -> Result<&[u8], CommandError> {
    rest.filter(|argument| !argument.is_empty())
        .ok_or(CommandError::Arguments(verb))
}

pub(super) fn text(octets: &[u8]) -> Result<&str, CommandError> {
    std::str::from_utf8(octets).map_err(|_| CommandError::NotText)
}

/// The commands whose arguments are separated by single spaces.
pub(super) fn with_arguments(verb: Verb, rest: &str) -> Result<Command, CommandError> {
    let rest = rest.trim_end_matches(' ');
    let mut arguments = rest.split(' ').filter(|_| !rest.is_empty());
    let (first, second) = (arguments.next(), arguments.next());
    let bare = |command| first.is_none().then_some(command);
    let only = match second {
        None => first,
        Some(_) => None,
    };
    let command = match verb {
        Verb::Capa => bare(Command::Capa),
        Verb::Noop => bare(Command::Noop),
        Verb::Quit => bare(Command::Quit),
        Verb::Rset => bare(Command::Rset),
        Verb::Stat => bare(Command::Stat),
        Verb::Stls => bare(Command::Stls),
        Verb::List if first.is_none() => Some(Command::List(None)),
        Verb::Uidl if first.is_none() => Some(Command::Uidl(None)),
        Verb::List => only.and_then(number).map(|n| Command::List(Some(n))),
        Verb::Uidl => only.and_then(number).map(|n| Command::Uidl(Some(n))),
        Verb::Dele => only.and_then(number).map(Command::Dele),
        Verb::Retr => only.and_then(number).map(Command::Retr),
        Verb::Top => first.zip(second).and_then(|(one, lines)| top(one, lines)),
        Verb::Auth => first.and_then(|mechanism| auth(mechanism, second)),
        // Their argument is all that follows, spaces too.
        Verb::Pass | Verb::User => None,
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
