//! Every reply of a session, in one place, so that the texts stay alike.

use wire::ids::TransactionId;
use wire::smtp::{CommandError, Flaws, Reply, Verb};

use super::{Delivered, Policy, Protocol, Resolved};

pub(super) fn greeting(hostname: &str, protocol: Protocol) -> Reply {
    let name = match protocol {
        Protocol::Smtp => "ESMTP",
        Protocol::Lmtp => "LMTP",
    };
    Reply::plain(220, format!("{hostname} {name} Buzonera"))
}

/// HELO's answer, or EHLO's with the extensions.
pub(super) fn hello(policy: &Policy, extended: bool, start_tls: bool) -> Reply {
    let Policy {
        hostname,
        max_message_size,
        ..
    } = policy;
    if !extended {
        return Reply::plain(250, hostname.clone());
    }
    let tls = if start_tls { "\nSTARTTLS" } else { "" };
    // RFC 2920, RFC 6152, RFC 2034, RFC 3030, RFC 3207, RFC 1870.
    let extensions = "PIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING";
    Reply::plain(
        250,
        format!("{hostname}\n{extensions}{tls}\nSIZE {max_message_size}"),
    )
}

pub(super) fn ok() -> Reply {
    Reply::new(250, 0, 0, "OK")
}

pub(super) fn bye() -> Reply {
    Reply::new(221, 0, 0, "bye")
}

pub(super) fn help() -> Reply {
    Reply::new(214, 0, 0, "see RFC 5321")
}

/// RFC 5321 section 7.3 lets a server keep its users to itself.
pub(super) fn cannot_verify() -> Reply {
    Reply::new(252, 5, 2, "send the mail and it will be tried")
}

pub(super) fn no_expansion() -> Reply {
    Reply::new(502, 5, 1, "lists are not expanded")
}

pub(super) fn sender_ok() -> Reply {
    Reply::new(250, 1, 0, "sender OK")
}

pub(super) fn start_data() -> Reply {
    Reply::plain(354, "end with <CRLF>.<CRLF>")
}

pub(super) fn chunk_ok(size: u64) -> Reply {
    Reply::new(250, 0, 0, format!("{size} octets received"))
}

pub(super) fn start_tls() -> Reply {
    Reply::new(220, 0, 0, "start TLS")
}

pub(super) fn no_tls() -> Reply {
    Reply::new(502, 5, 1, "TLS is not offered here")
}

pub(super) fn already_tls() -> Reply {
    Reply::new(503, 5, 1, "TLS is active already")
}

pub(super) fn line_too_long() -> Reply {
    Reply::new(500, 5, 2, "the line is too long")
}

pub(super) fn bare_ending() -> Reply {
    Reply::new(
        500,
        5,
        2,
        "lines end with CRLF, and have no CR or LF inside",
    )
}

pub(super) fn unknown_command() -> Reply {
    Reply::new(500, 5, 1, "no such command here")
}

pub(super) fn need_hello() -> Reply {
    Reply::new(503, 5, 1, "say hello first")
}

pub(super) fn need_mail() -> Reply {
    Reply::new(503, 5, 1, "MAIL comes first")
}

pub(super) fn need_recipient() -> Reply {
    Reply::new(503, 5, 1, "no recipient was accepted")
}

pub(super) fn in_transaction() -> Reply {
    Reply::new(503, 5, 1, "a transaction is open; RSET ends it")
}

pub(super) fn in_chunks() -> Reply {
    Reply::new(503, 5, 1, "go on with BDAT, or RSET")
}

pub(super) fn malformed(error: &CommandError) -> Reply {
    let (code, subject, detail) = match error {
        CommandError::NotPrintable => (500, 5, 2),
        CommandError::Unknown => (500, 5, 1),
        CommandError::Syntax {
            verb: Verb::Vrfy | Verb::Expn,
            ..
        } => (501, 5, 2),
        CommandError::Syntax { .. } => (501, 5, 4),
        CommandError::Sender(_) => (501, 1, 7),
        CommandError::Recipient(_) => (501, 1, 3),
        CommandError::Parameter(_) => (555, 5, 4),
    };
    Reply::new(code, subject, detail, error.to_string())
}

pub(super) fn recipient(answer: &Resolved) -> Reply {
    match answer {
        Resolved::Known(_) => Reply::new(250, 1, 5, "recipient OK"),
        Resolved::Unknown => Reply::new(550, 1, 1, "no such address here"),
        Resolved::Foreign => Reply::new(550, 7, 1, "not a domain of ours, and no relaying"),
        Resolved::OverQuota => Reply::new(452, 2, 2, "the mailbox is over its quota"),
        Resolved::Unsure => Reply::new(451, 4, 3, "the directory cannot say now, try again"),
    }
}

pub(super) fn too_many_recipients() -> Reply {
    Reply::new(452, 5, 3, "too many recipients, send the rest again")
}

pub(super) fn too_many_unknown() -> Reply {
    Reply::new(421, 7, 0, "too many unknown recipients")
}

pub(super) fn too_many_errors() -> Reply {
    Reply::new(421, 7, 0, "too many errors")
}

pub(super) fn too_large() -> Reply {
    Reply::new(552, 3, 4, "the message is too large")
}

pub(super) fn far_too_large() -> Reply {
    Reply::new(552, 3, 4, "the message is far too large")
}

pub(super) fn bad_endings(flaws: Flaws) -> Reply {
    let what = match flaws {
        Flaws { nul: true, .. } => "the message has NUL octets",
        Flaws { bare_lf: true, .. } => "the message has a bare LF",
        _ => "the message has a bare CR",
    };
    Reply::new(550, 6, 0, what)
}

pub(super) fn mail_loop() -> Reply {
    Reply::new(554, 4, 6, "too many Received fields: a loop")
}

pub(super) fn no_room() -> Reply {
    Reply::new(452, 3, 1, "no room for the message now, try again")
}

pub(super) fn delivered(id: &TransactionId, outcome: Delivered) -> Reply {
    match outcome {
        Delivered::Stored => Reply::new(250, 0, 0, format!("id={id} stored")),
        Delivered::Duplicate => Reply::new(250, 0, 0, format!("id={id} duplicate")),
        Delivered::Queued => Reply::new(250, 0, 0, format!("id={id} queued")),
        Delivered::Deferred => Reply::new(451, 3, 0, format!("id={id} not stored, try again")),
        Delivered::NoRoom => Reply::new(451, 3, 1, format!("id={id} no room now, try again")),
        Delivered::Gone => Reply::new(550, 2, 1, format!("id={id} the account is removed")),
        Delivered::Never => Reply::new(
            554,
            2,
            0,
            format!("id={id} the mailbox cannot take the message"),
        ),
    }
}
