//! MAIL and its parameters.

use super::parameters::{after, parameters, size};
use super::{CommandError, ReversePath, Verb};

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

impl Mail {
    pub(super) fn parse(rest: &str) -> Result<Self, CommandError> {
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
