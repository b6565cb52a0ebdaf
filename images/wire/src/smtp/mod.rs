//! SMTP and LMTP on the wire (RFC 5321, RFC 2033, RFC 3030): commands, replies, message content.
//!
//! Frame first, parse second: [`Framer`] cuts command lines with a cap, [`Command::parse`] reads
//! one, [`Content`] decodes what DATA and BDAT carry, [`HeaderScanner`] looks at its header.

mod command;
mod content;
mod framer;
mod header;
mod path;
mod reply;
mod verb;

pub use command::{BodyType, Command, CommandError, HeloName, Mail};
pub use content::{Content, Flaws, Progress};
pub use framer::{Frame, Framer, MAX_LINE};
pub use header::HeaderScanner;
pub use path::{ForwardPath, PathError, ReversePath};
pub use reply::{Enhanced, Reply};
pub use verb::Verb;

/// Feeds any octets to every parser here.
pub fn fuzz(data: &[u8]) {
    framer::fuzz(data);
    command::fuzz(data);
    path::fuzz(data);
    content::fuzz(data);
    header::fuzz(data);
    reply::fuzz(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn octets_that_matter(data in "[\r\n.\0a: \tRr]{0,40}") {
            fuzz(data.as_bytes());
        }

        #[test]
        fn near_commands(
            line in "(?i)(MAIL FROM:|RCPT TO:|BDAT |EHLO )[<>@:,a\" .=0-9]{0,20}( (SIZE|BODY)=[0-9B]{1,21})?",
        ) {
            fuzz(line.as_bytes());
        }

        #[test]
        fn near_paths(path in "<(@[ab,@.]{0,6}:)?[ab.\"\\\\@> %!]{0,12}(@[ab.\\[\\]:1]{0,6})?>?.{0,3}") {
            fuzz(path.as_bytes());
        }

        #[test]
        fn near_headers(
            data in "((Received|Message-ID|Return-Path|X)( ?: ?)(a|<b@c>)\r\n( a\r\n)?){0,5}(\r\n)?x?",
        ) {
            fuzz(data.as_bytes());
        }
    }
}
