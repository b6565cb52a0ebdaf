//! POP3 on the wire: RFC 1939, extended by RFC 2449 (CAPA, codes), 2595 (STLS), 5034 (AUTH).
//!
//! Octets become lines with a cap first ([`framing`]), lines become commands second
//! ([`command`]), so that no bad command desynchronises a connection. Replies print and parse
//! ([`reply`]); messages are dot-stuffed as they stream ([`stuffing`]).

pub mod command;
pub mod framing;
pub mod reply;
pub mod stuffing;

/// The longest command line with its CRLF (RFC 2449 section 4).
pub const MAX_COMMAND: usize = 255;

/// The longest first line of a reply with its CRLF (RFC 2449 section 4).
pub const MAX_REPLY: usize = 512;

/// What Buzonera can do in every state, for CAPA (RFC 2449 section 6, RFC 3206 section 3). Only the
/// proxy adds to it, before a client has logged in.
pub const CAPABILITIES: [&str; 7] = [
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "EXPIRE NEVER",
    "IMPLEMENTATION Buzonera",
];

/// Feeds any octets to every parser of POP3.
pub fn fuzz(data: &[u8]) {
    framing::fuzz(data);
    command::fuzz(data);
    reply::fuzz(data);
    stuffing::fuzz(data);
}
