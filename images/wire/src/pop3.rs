//! POP3 on the wire: RFC 1939, extended by RFC 2449 (CAPA, codes), 2595 (STLS), 5034 (AUTH).
//!
//! Octets become lines with a cap first ([`framing`]), lines become commands second
//! ([`command`]), so that no bad command desynchronises a connection. Replies print and parse
//! ([`reply`]); messages are dot-stuffed as they stream ([`stuffing`]).

pub mod command;
pub mod framing;
pub mod reply;
pub mod stuffing;

use self::command::{Told, Verb};

/// The longest command line with its CRLF (RFC 2449 section 4).
pub const MAX_COMMAND: usize = 255;

/// The longest first line of a reply with its CRLF (RFC 2449 section 4).
pub const MAX_REPLY: usize = 512;

/// What Buzonera can do beside commands, for CAPA (RFC 2449 section 6, RFC 3206 section 3).
const BESIDE_COMMANDS: [&str; 5] = [
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "EXPIRE NEVER",
    "IMPLEMENTATION Buzonera",
];

/// The lines that answer CAPA: those about logging in where that is possible, then what holds in
/// every state.
pub fn capabilities<'a>(login: &[&'a str]) -> Vec<&'a str> {
    let commands = Verb::ALL.iter().filter_map(|verb| match verb.told() {
        Told::Always(capability) => Some(capability),
        Told::AtLogin | Told::Never => None,
    });
    let login = login.iter().copied();
    login.chain(commands).chain(BESIDE_COMMANDS).collect()
}

/// Feeds any octets to every parser of POP3.
pub fn fuzz(data: &[u8]) {
    framing::fuzz(data);
    command::fuzz(data);
    reply::fuzz(data);
    stuffing::fuzz(data);
}
