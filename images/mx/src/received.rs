//! The trace headers (RFC 5321 section 4.4).

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use wire::ids::TransactionId;
use wire::smtp::ReversePath;

/// What a Received header says.
#[derive(Debug)]
pub struct Received<'a> {
    /// What the client called itself, made harmless.
    pub helo: &'a str,
    /// Where it really was.
    pub client: IpAddr,
    /// Our own name.
    pub hostname: &'a str,
    /// ESMTP, ESMTPS, LMTP, … (RFC 3848).
    pub with: &'a str,
    /// The transaction.
    pub id: &'a TransactionId,
    /// The recipient, only if there is exactly one: none may learn of the others.
    pub recipient: Option<&'a str>,
    /// When the body began to come.
    pub at: Timestamp,
}

impl Received<'_> {
    /// The header as lines that end in CRLF.
    pub fn to_header(&self) -> String {
        let Self {
            helo,
            hostname,
            with,
            id,
            ..
        } = self;
        let client = match self.client.to_canonical() {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let mut header =
            format!("Received: from {helo} ({client})\r\n\tby {hostname} with {with} id {id}");
        if let Some(recipient) = self.recipient {
            let _infallible = write!(header, "\r\n\tfor <{recipient}>");
        }
        let at = jiff::fmt::rfc2822::to_string(&self.at.to_zoned(TimeZone::UTC));
        let at = at.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned());
        let _infallible = write!(header, ";\r\n\t{at}\r\n");
        header
    }
}

/// What each recipient's copy starts with.
pub fn prefix(from: &ReversePath, delivered_to: &str) -> Bytes {
    Bytes::from(format!(
        "Return-Path: <{from}>\r\nDelivered-To: {delivered_to}\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(client: &str, recipient: Option<&str>) -> (String, TransactionId) {
        let id = TransactionId::random();
        let received = Received {
            helo: "client.example",
            client: client.parse().unwrap(),
            hostname: "mx.example",
            with: "ESMTPS",
            id: &id,
            recipient,
            at: Timestamp::from_second(1_700_000_000).unwrap(),
        };
        (received.to_header(), id)
    }

    #[test]
    fn known_answers() {
        let (text, id) = header("::ffff:192.0.2.1", Some("a@b.example"));
        let expected = format!(
            "Received: from client.example ([192.0.2.1])\r\n\tby mx.example with ESMTPS id {id}\
             \r\n\tfor <a@b.example>;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
        );
        assert_eq!(text, expected);
        let (text, _) = header("2001:db8::1", None);
        assert!(text.contains("([IPv6:2001:db8::1])") && !text.contains("for"));
        assert_eq!(
            prefix(&ReversePath::Null, "a@b.example"),
            "Return-Path: <>\r\nDelivered-To: a@b.example\r\n"
        );
    }
}
