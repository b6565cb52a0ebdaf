//! SMTP: framing, sequence, syntax, relaying, smuggling, bounds.

use e2e::site::Site;

use super::{replies, row, still_serves, try_rows};
use crate::support::{ANA, TestSite};

/// Envelope up to DATA's 354, and the answers to it.
const ENVELOPE: &str =
    "EHLO c.example\r\nMAIL FROM:<bo@example.net>\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n";
const READY: [&str; 4] = ["250", "250", "250", "354"];

fn after_ready(more: &[&'static str]) -> Vec<&'static str> {
    READY.iter().chain(more).copied().collect()
}

fn body(content: &str) -> String {
    format!("{ENVELOPE}{content}QUIT\r\n")
}

fn rcpt(path: &str) -> String {
    format!("EHLO c.example\r\nMAIL FROM:<bo@example.net>\r\nRCPT TO:{path}\r\nQUIT\r\n")
}

fn mail(rest: &str) -> String {
    format!("EHLO c.example\r\nMAIL FROM:{rest}\r\nQUIT\r\n")
}

fn rows() -> Vec<super::Row> {
    let refused = after_ready(&["550 5.6.0", "221"]);
    let relay = ["250", "250", "550 5.7.1", "221"];
    let nobody = ["250", "250", "550 5.1.1", "221"];
    let long = "x".repeat(10_000);
    vec![
        row("an unknown verb", "BREW\r\nQUIT\r\n", &["500 5.5.1", "221"]),
        row("an empty line", "\r\nQUIT\r\n", &["500 5.5.1", "221"]),
        row(
            "a line of 10,000 octets",
            format!("NOOP {long}\r\nQUIT\r\n"),
            &["500 5.5.2", "221"],
        ),
        row(
            "octets that are no text",
            b"\xff\xfe\x00\x80\r\nQUIT\r\n",
            &["500 5.5.2", "221"],
        ),
        row(
            "a NUL in a verb",
            b"NO\0OP\r\nQUIT\r\n",
            &["500 5.5.2", "221"],
        ),
        row(
            "a bare LF ends no command",
            "NOOP\nQUIT\r\nQUIT\r\n",
            &["500 5.5.2", "221"],
        ),
        row(
            "a bare CR ends no command",
            "NOOP\rQUIT\r\nQUIT\r\n",
            &["500 5.5.2", "221"],
        ),
        row(
            "MAIL before EHLO",
            "MAIL FROM:<a@b.c>\r\nQUIT\r\n",
            &["503 5.5.1", "221"],
        ),
        row(
            "RCPT before MAIL",
            "EHLO c\r\nRCPT TO:<a@b.c>\r\nQUIT\r\n",
            &["250", "503 5.5.1", "221"],
        ),
        row(
            "DATA before RCPT",
            mail("<bo@example.net>\r\nDATA"),
            &["250", "250", "503 5.5.1", "221"],
        ),
        row(
            "DATA with a word",
            format!("{}x\r\nQUIT\r\n", ENVELOPE.replace("DATA\r\n", "DATA ")),
            &["250", "250", "250", "501 5.5.4", "221"],
        ),
        row(
            "MAIL twice",
            mail("<bo@example.net>\r\nMAIL FROM:<>"),
            &["250", "250", "503 5.5.1", "221"],
        ),
        row(
            "EHLO without a name",
            "EHLO\r\nQUIT\r\n",
            &["501 5.5.4", "221"],
        ),
        row(
            "MAIL without brackets",
            mail("bo@example.net"),
            &["250", "501 5.1.7", "221"],
        ),
        row(
            "two at signs",
            mail("<a@b@c.d>"),
            &["250", "501 5.1.7", "221"],
        ),
        row(
            "an open quote",
            mail("<\"a@b.c>"),
            &["250", "501 5.1.7", "221"],
        ),
        row(
            "a local part of 200 octets",
            rcpt(&format!("<{}@example.org>", &long[..200])),
            &["250", "250", "550 5.1.1", "221"],
        ),
        row(
            "a domain of 300 octets",
            mail(&format!("<a@{}>", &long[..300])),
            &["250", "501 5.1.7", "221"],
        ),
        row(
            "an unknown parameter",
            mail("<a@b.c> COLOUR=red"),
            &["250", "555 5.5.4", "221"],
        ),
        row(
            "a SIZE of 23 digits",
            mail("<a@b.c> SIZE=99999999999999999999999"),
            &["250", "501 5.5.4", "221"],
        ),
        row(
            "a SIZE that is no number",
            mail("<a@b.c> SIZE=-1"),
            &["250", "501 5.5.4", "221"],
        ),
        row(
            "a SIZE too large",
            mail("<a@b.c> SIZE=999999999"),
            &["250", "552 5.3.4", "221"],
        ),
        row(
            "a body type that is none",
            mail("<a@b.c> BODY=9BIT"),
            &["250", "501 5.5.4", "221"],
        ),
        row("relaying", rcpt("<eve@elsewhere.example>"), &relay),
        row(
            "relaying by percent",
            rcpt("<eve%elsewhere.example@example.org>"),
            &nobody,
        ),
        row(
            "relaying by bang",
            rcpt("<elsewhere.example!eve@example.org>"),
            &nobody,
        ),
        row(
            "relaying by a quoted at",
            rcpt("<\"eve@elsewhere.example\"@example.org>"),
            &nobody,
        ),
        row(
            "relaying by a source route",
            rcpt("<@example.org:eve@elsewhere.example>"),
            &relay,
        ),
        row(
            "relaying by an address literal",
            rcpt("<eve@[192.0.2.1]>"),
            &relay,
        ),
        row("an unknown user", rcpt("<nobody@example.org>"), &nobody),
        row(
            "no recipient at all",
            rcpt("<>"),
            &["250", "250", "501 5.1.3", "221"],
        ),
        row(
            "VRFY tells nothing",
            format!("VRFY {ANA}\r\nQUIT\r\n"),
            &["252", "221"],
        ),
        row(
            "EXPN is not there",
            "EXPN list\r\nQUIT\r\n",
            &["502 5.5.1", "221"],
        ),
        row(
            "a bare LF in the body",
            body("Subject: x\r\n\r\na\nb\r\n.\r\n"),
            &refused,
        ),
        row(
            "a bare CR in the body",
            body("Subject: x\r\n\r\na\rb\r\n.\r\n"),
            &refused,
        ),
        row(
            "a NUL in the body",
            body("Subject: x\r\n\r\na\0b\r\n.\r\n"),
            &refused,
        ),
        row(
            "smuggling by LF . CRLF",
            body("Subject: x\r\n\r\na\n.\r\nMAIL FROM:<eve@elsewhere.example>\r\n.\r\n"),
            &refused,
        ),
        row(
            "smuggling by LF . LF",
            body("Subject: x\r\n\r\na\n.\nMAIL FROM:<eve@elsewhere.example>\r\n.\r\n"),
            &refused,
        ),
        row(
            "smuggling by CR . CR",
            body("Subject: x\r\n\r\na\r.\rMAIL FROM:<eve@elsewhere.example>\r\n.\r\n"),
            &refused,
        ),
        row(
            "a loop",
            body(&format!(
                "{}Subject: x\r\n\r\na\r\n.\r\n",
                "Received: by a\r\n".repeat(101)
            )),
            &after_ready(&["554 5.4.6", "221"]),
        ),
        row(
            "BDAT without a number: what follows cannot be known, so the connection closes",
            format!("{}\r\nQUIT\r\n", ENVELOPE.replace("DATA\r\n", "BDAT")),
            &["250", "250", "250", "501 5.5.4"],
        ),
        row(
            "a refused BDAT's octets are no commands",
            "EHLO c\r\nBDAT 11 LAST\r\nEXPN list\r\nQUIT\r\n",
            &["250", "503 5.5.1", "221"],
        ),
        row("LHLO", "LHLO c\r\nQUIT\r\n", &["500 5.5.1", "221"]),
        row(
            "pipelined octets after STARTTLS",
            "EHLO c\r\nSTARTTLS\r\nQUIT\r\n",
            &["250", "220"],
        ),
    ]
}

#[tokio::test]
async fn each_input_has_its_answer_and_smtp_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    try_rows(Site::at(site.ports().smtp), &rows(), replies).await;
    still_serves(&site, 1).await.unwrap();
}
