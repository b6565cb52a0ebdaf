//! One command line, parsed.

use std::fmt;

use super::path::{ForwardPath, PathError, ReversePath};
use super::verb::Verb;

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

/// MAIL with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub from: ReversePath,
    /// Octets that the client means to send (RFC 1870); saturates.
    pub size: Option<u64>,
    /// What the body is declared to be (RFC 6152).
    pub body: Option<BodyType>,
}

/// BODY= of MAIL. The body is taken as it comes in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// 7BIT
    SevenBit,
    /// 8BITMIME
    EightBitMime,
}

/// What a client calls itself, made harmless: only letters, digits and `-._:[]`, others as `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeloName(String);

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
        let verb = Verb::ALL
            .into_iter()
            .find(|verb| word.eq_ignore_ascii_case(verb.as_str()));
        let rest = rest.trim_end_matches(' ');
        let bare = |verb, command| match rest {
            "" => Ok(command),
            _ => Err(CommandError::Syntax {
                verb,
                usage: "no argument",
            }),
        };
        match verb.ok_or(CommandError::Unknown)? {
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

impl HeloName {
    /// The longest name that is kept, in octets.
    pub const MAX_OCTETS: usize = 255;

    fn parse(verb: Verb, text: &str) -> Result<Self, CommandError> {
        if text.is_empty() {
            return Err(CommandError::Syntax {
                verb,
                usage: "the client's name",
            });
        }
        Ok(Self(
            text.chars().take(Self::MAX_OCTETS).map(harmless).collect(),
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn harmless(c: char) -> char {
    if c.is_ascii_alphanumeric() || "-._:[]".contains(c) {
        c
    } else {
        '?'
    }
}

impl Mail {
    fn parse(rest: &str) -> Result<Self, CommandError> {
        let usage = CommandError::Syntax {
            verb: Verb::Mail,
            usage: "FROM:<address>",
        };
        let rest = after(rest, "FROM:").ok_or(usage)?;
        let (from, rest) = ReversePath::parse(rest).map_err(CommandError::Sender)?;
        let mut mail = Self {
            from,
            size: None,
            body: None,
        };
        for parameter in parameters(Verb::Mail, rest)? {
            mail.set(parameter)?;
        }
        Ok(mail)
    }

    fn set(&mut self, parameter: &str) -> Result<(), CommandError> {
        let wrong = |usage| CommandError::Syntax {
            verb: Verb::Mail,
            usage,
        };
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if keyword.eq_ignore_ascii_case("SIZE") {
            let size = size(value).ok_or(wrong("SIZE= with 1 to 20 digits"))?;
            return match self.size.replace(size) {
                None => Ok(()),
                Some(_) => Err(wrong("SIZE= once")),
            };
        }
        if keyword.eq_ignore_ascii_case("BODY") {
            let body = body_type(value).ok_or(wrong("BODY=7BIT or BODY=8BITMIME"))?;
            return match self.body.replace(body) {
                None => Ok(()),
                Some(_) => Err(wrong("BODY= once")),
            };
        }
        Err(CommandError::Parameter(Verb::Mail))
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

/// What follows a keyword in any case. The space that some clients put behind it is forgiven.
fn after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_start_matches(' '))
}

/// What follows a path: nothing, or parameters after a space.
fn parameters(verb: Verb, rest: &str) -> Result<impl Iterator<Item = &str>, CommandError> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(CommandError::Syntax {
            verb,
            usage: "a space before its parameters",
        });
    }
    Ok(rest.split(' ').filter(|parameter| !parameter.is_empty()))
}

/// size-value = 1*20DIGIT (RFC 1870 section 3); saturates.
fn size(digits: &str) -> Option<u64> {
    let fits = (1..=20).contains(&digits.len());
    if !fits || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn body_type(value: &str) -> Option<BodyType> {
    let known = [
        ("7BIT", BodyType::SevenBit),
        ("8BITMIME", BodyType::EightBitMime),
    ];
    let found = known
        .into_iter()
        .find(|(name, _)| value.eq_ignore_ascii_case(name));
    found.map(|(_, body)| body)
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
mod tests {
    use super::*;

    fn mail(line: &str) -> Result<(String, Option<u64>, Option<BodyType>), CommandError> {
        match Command::parse(line.as_bytes())? {
            Command::Mail(mail) => Ok((mail.from.to_string(), mail.size, mail.body)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mail_and_its_parameters() {
        assert_eq!(mail("MAIL FROM:<>"), Ok((String::new(), None, None)));
        assert_eq!(
            mail("mail from: <a@b.example> size=10 body=8bitmime "),
            Ok(("a@b.example".into(), Some(10), Some(BodyType::EightBitMime)))
        );
        let big = mail("MAIL FROM:<> SIZE=99999999999999999999").unwrap();
        assert_eq!(big.1, Some(u64::MAX));
        for (line, syntax) in [
            ("MAIL FROM:<> SIZE=123456789012345678901", true),
            ("MAIL FROM:<> SIZE=", true),
            ("MAIL FROM:<> SIZE=+1", true),
            ("MAIL FROM:<> SIZE=1 SIZE=1", true),
            ("MAIL FROM:<> BODY=BINARYMIME", true),
            ("MAIL FROM:<>SIZE=1", true),
            ("MAIL <a@b.example>", true),
            ("MAIL", true),
            ("MAIL FROM:<> SMTPUTF8", false),
            ("MAIL FROM:<> AUTH=<>", false),
        ] {
            let error = mail(line).unwrap_err();
            assert_eq!(
                matches!(error, CommandError::Syntax { .. }),
                syntax,
                "{line}: {error:?}"
            );
        }
        assert!(matches!(
            mail("MAIL FROM:a@b.example"),
            Err(CommandError::Sender(_))
        ));
    }

    #[test]
    fn other_commands() {
        let parse = |line: &str| Command::parse(line.as_bytes());
        assert_eq!(parse("data"), Ok(Command::Data));
        assert!(parse("DATA x").is_err());
        assert_eq!(
            parse("BDAT 10 last"),
            Ok(Command::Bdat {
                size: 10,
                last: true
            })
        );
        assert_eq!(
            parse("BDAT 0"),
            Ok(Command::Bdat {
                size: 0,
                last: false
            })
        );
        for bad in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT 1 LAST x",
            "BDAT 1 FIRST",
            "BDAT  1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let parameter = Err(CommandError::Parameter(Verb::Rcpt));
        assert_eq!(parse("RCPT TO:<a@b.example> NOTIFY=NEVER"), parameter);
        assert_eq!(parse("NOOP anything"), Ok(Command::Noop));
        assert_eq!(parse("FOO"), Err(CommandError::Unknown));
        assert_eq!(parse(""), Err(CommandError::Unknown));
        assert_eq!(parse("NOOP\0"), Err(CommandError::NotPrintable));
        assert_eq!(
            parse("RCPT TO:<jörg@b.example>"),
            Err(CommandError::NotPrintable)
        );
    }

    #[test]
    fn client_names_are_made_harmless() {
        let name = |line: &str| match Command::parse(line.as_bytes()) {
            Ok(Command::Ehlo(name)) => name.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("EHLO [IPv6:::1]"), "[IPv6:::1]");
        assert_eq!(name("EHLO a (b) <c>;d"), "a??b???c??d");
        assert_eq!(
            name(&format!("EHLO {}", "a".repeat(1000))).len(),
            HeloName::MAX_OCTETS
        );
        assert!(Command::parse(b"EHLO ").is_err());
    }
}
