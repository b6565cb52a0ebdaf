//! The machine, walked through every command in every state.

use std::sync::Arc;

use wire::ids::{AccountId, Epoch};
use wire::smtp::{Command, Flaws, ForwardPath, Verb};

use super::*;

fn policy() -> Arc<Policy> {
    Arc::new(Policy {
        hostname: "mx.example".into(),
        max_message_size: 1000,
        max_recipients: 3,
        max_unknown: 2,
        max_errors: 4,
        max_received: 100,
    })
}

fn line(text: &str) -> Line {
    match Command::parse(text.as_bytes()) {
        Ok(command) => Line::Command(command),
        Err(error) => Line::Malformed(error),
    }
}

fn known() -> Resolved {
    let target = Target {
        account: AccountId::random(),
        address: "a@b.example".into(),
        shard: "shard-1".parse().unwrap(),
        endpoint: "127.0.0.1:1".into(),
        epoch: Epoch(1),
        stale: false,
    };
    Resolved::Known(vec![target])
}

/// Brings a session from its start to a phase.
fn session_in(protocol: Protocol, phase: Phase) -> Session {
    let session = Session::new(policy(), protocol, true);
    let hello = match protocol {
        Protocol::Smtp => "EHLO client",
        Protocol::Lmtp => "LHLO client",
    };
    let steps: &[&str] = match phase {
        Phase::Start => &[],
        Phase::Ready => &[hello],
        Phase::Sender => &[hello, "MAIL FROM:<>"],
        Phase::Recipients => &[hello, "MAIL FROM:<>", "RCPT TO:<a@b.example>"],
        Phase::Chunks => &[hello, "MAIL FROM:<>", "RCPT TO:<a@b.example>", "BDAT 1"],
    };
    let session = steps.iter().fold(session, |session, step| {
        let (session, action) = session.line(line(step));
        match action {
            Action::Resolve(path) => session.resolved(path, known()).0,
            _ => session,
        }
    });
    assert_eq!(session.phase(), phase);
    session
}

/// What comes of it, in short: a code, or the kind of action.
fn short(action: &Action) -> String {
    match action {
        Action::Reply(reply) => reply.code().to_string(),
        Action::Resolve(_) => "resolve".into(),
        Action::StartTls(reply) => format!("tls {}", reply.code()),
        Action::Data(reply) => format!("data {}", reply.code()),
        Action::Chunk(size, None) => format!("last {size}"),
        Action::Chunk(size, Some(reply)) => format!("chunk {size} {}", reply.code()),
        Action::SkipChunk(size, replies) => format!("skip {size} {}", replies[0].code()),
        Action::RefuseChunk(size, _, replies) => format!("refuse {size} {}", replies[0].code()),
        Action::Close(reply) => format!("close {}", reply.code()),
    }
}

#[test]
fn every_command_in_every_state() {
    use Phase::{Chunks, Ready, Recipients, Sender, Start};
    let phases = [Start, Ready, Sender, Recipients, Chunks];
    let table: [(&str, [&str; 5]); 20] = [
        ("EHLO c", ["250", "250", "250", "250", "250"]),
        ("HELO c", ["250", "250", "250", "250", "250"]),
        ("LHLO c", ["500", "500", "500", "500", "500"]),
        ("MAIL FROM:<>", ["503", "250", "503", "503", "503"]),
        (
            "MAIL FROM:<> SIZE=1001",
            ["503", "552", "503", "503", "503"],
        ),
        (
            "RCPT TO:<postmaster>",
            ["503", "503", "resolve", "resolve", "503"],
        ),
        ("RCPT TO:<a@b> X=1", ["555", "555", "555", "555", "555"]),
        ("DATA", ["503", "503", "503", "data 354", "503"]),
        (
            "BDAT 9",
            [
                "skip 9 503",
                "skip 9 503",
                "skip 9 503",
                "chunk 9 250",
                "chunk 9 250",
            ],
        ),
        (
            "BDAT 0 LAST",
            ["skip 0 503", "skip 0 503", "skip 0 503", "last 0", "last 0"],
        ),
        (
            "BDAT 2000",
            [
                "skip 2000 503",
                "skip 2000 503",
                "skip 2000 503",
                "refuse 2000 552",
                "refuse 2000 552",
            ],
        ),
        (
            "BDAT x",
            [
                "close 501",
                "close 501",
                "close 501",
                "close 501",
                "close 501",
            ],
        ),
        ("RSET", ["250", "250", "250", "250", "250"]),
        ("NOOP", ["250", "250", "250", "250", "250"]),
        (
            "QUIT",
            [
                "close 221",
                "close 221",
                "close 221",
                "close 221",
                "close 221",
            ],
        ),
        ("VRFY a", ["252", "252", "252", "252", "252"]),
        ("EXPN a", ["502", "502", "502", "502", "502"]),
        ("HELP", ["214", "214", "214", "214", "214"]),
        ("STARTTLS", ["tls 220", "tls 220", "503", "503", "503"]),
        ("WHAT", ["500", "500", "500", "500", "500"]),
    ];
    // A new verb breaks this and asks for its row.
    let named = |verb: &Verb| {
        let first = |(text, _): &(&str, _)| text.split(' ').next() == Some(verb.as_str());
        table.iter().any(first)
    };
    assert!(Verb::ALL.iter().all(named));
    for (text, expected) in table {
        for (phase, expected) in phases.into_iter().zip(expected) {
            let (_, action) = session_in(Protocol::Smtp, phase).line(line(text));
            assert_eq!(short(&action), expected, "{text} in {phase:?}");
            let lmtp = match text {
                "EHLO c" | "HELO c" => "500",
                "LHLO c" => "250",
                _ => expected,
            };
            let (_, action) = session_in(Protocol::Lmtp, phase).line(line(text));
            assert_eq!(short(&action), lmtp, "LMTP: {text} in {phase:?}");
        }
    }
}

#[test]
fn greetings_reset_and_name_the_extensions() {
    let (session, action) = session_in(Protocol::Smtp, Phase::Recipients).line(line("EHLO me"));
    assert_eq!(session.phase(), Phase::Ready);
    let Action::Reply(reply) = action else {
        panic!()
    };
    let text = reply.to_string();
    let announced = "PIPELINING 8BITMIME ENHANCEDSTATUSCODES CHUNKING STARTTLS SIZE 1000";
    assert_eq!(text, format!("250 mx.example {announced}"));
    let (session, action) = session.tls_started().line(line("EHLO me"));
    let Action::Reply(reply) = action else {
        panic!()
    };
    assert!(!reply.to_string().contains("STARTTLS"));
    assert_eq!(session.with(), "ESMTPS");
    assert_eq!(short(&session.line(line("STARTTLS")).1), "503");
    let plain = Session::new(policy(), Protocol::Smtp, false);
    assert_eq!(short(&plain.line(line("STARTTLS")).1), "502");
}

#[test]
fn tls_forgets_what_was_said() {
    let session = session_in(Protocol::Smtp, Phase::Recipients).tls_started();
    assert_eq!((session.phase(), session.helo()), (Phase::Start, ""));
}

fn answered(session: Session, answer: Resolved) -> (Session, String) {
    let (session, action) = session.resolved(ForwardPath::Postmaster, answer);
    let text = short(&action);
    (session, text)
}

#[test]
fn answers_for_recipients() {
    let session = session_in(Protocol::Smtp, Phase::Sender);
    let (session, text) = answered(session, Resolved::Unsure);
    assert_eq!(text, "451");
    let (session, text) = answered(session, Resolved::OverQuota);
    assert_eq!(text, "452");
    let (session, text) = answered(session, Resolved::Foreign);
    assert_eq!((text.as_str(), session.phase()), ("550", Phase::Sender));
    let (_, text) = answered(session, Resolved::Unknown);
    assert_eq!(text, "close 421");
}

#[test]
fn recipients_have_a_limit() {
    let mut session = session_in(Protocol::Smtp, Phase::Sender);
    for expected in ["250", "250", "250", "452", "452"] {
        let (next, text) = answered(session, known());
        assert_eq!(text, expected);
        session = next;
    }
    assert_eq!(session.transaction().unwrap().recipients.len(), 3);
}

#[test]
fn errors_have_a_limit() {
    let mut session = session_in(Protocol::Smtp, Phase::Ready);
    for expected in ["500", "500", "500", "500", "close 421"] {
        let (next, action) = session.line(Line::BareEnding);
        assert_eq!(short(&action), expected);
        session = next;
    }
}

fn summary() -> BodySummary {
    BodySummary {
        octets: 10,
        flaws: Flaws::default(),
        received: 0,
        kept: Kept::Whole,
    }
}

fn refused(protocol: Protocol, summary: &BodySummary) -> Vec<String> {
    let session = session_in(protocol, Phase::Recipients);
    let (session, _) = session.resolved(ForwardPath::Postmaster, known());
    let (session, verdict) = session.body_ended(summary);
    assert_eq!(session.phase(), Phase::Ready);
    match verdict.unwrap() {
        Verdict::Deliver(_) => Vec::new(),
        Verdict::Refuse(_, replies) => replies.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn bodies_are_judged() {
    let nul = Flaws {
        nul: true,
        ..Flaws::default()
    };
    for (summary, start) in [
        (
            BodySummary {
                octets: 1001,
                ..summary()
            },
            "552 5.3.4 ",
        ),
        (
            BodySummary {
                flaws: nul,
                ..summary()
            },
            "550 5.6.0 ",
        ),
        (
            BodySummary {
                received: 100,
                ..summary()
            },
            "554 5.4.6 ",
        ),
        (
            BodySummary {
                kept: Kept::NoRoom,
                ..summary()
            },
            "452 4.3.1 ",
        ),
    ] {
        let smtp = refused(Protocol::Smtp, &summary);
        assert!(smtp.len() == 1 && smtp[0].starts_with(start), "{smtp:?}");
        let lmtp = refused(Protocol::Lmtp, &summary);
        assert!(lmtp.len() == 2 && lmtp[1].starts_with(start), "{lmtp:?}");
    }
    assert!(
        refused(
            Protocol::Smtp,
            &BodySummary {
                received: 99,
                ..summary()
            }
        )
        .is_empty()
    );
}

#[test]
fn outcomes_mixed() {
    use Delivered::{Deferred, Duplicate, Gone, Never, NoRoom, Queued, Stored};
    for (outcomes, smtp, lmtp) in [
        (
            vec![Stored, Duplicate],
            "250 stored",
            vec!["250 stored", "250 duplicate"],
        ),
        (
            vec![Duplicate, Duplicate],
            "250 duplicate",
            vec!["250 duplicate", "250 duplicate"],
        ),
        (
            vec![Stored, Queued],
            "250 queued",
            vec!["250 stored", "250 queued"],
        ),
        (
            vec![Stored, Deferred],
            "451 try again",
            vec!["250 stored", "451 try again"],
        ),
        (
            vec![Stored, NoRoom],
            "451 no room",
            vec!["250 stored", "451 no room"],
        ),
        (
            vec![Never, Stored],
            "451 try again",
            vec!["554 cannot take", "250 stored"],
        ),
        (
            vec![Gone, Stored],
            "451 try again",
            vec!["550 removed", "250 stored"],
        ),
    ] {
        for (protocol, expected) in [(Protocol::Smtp, vec![smtp]), (Protocol::Lmtp, lmtp)] {
            let session = session_in(protocol, Phase::Recipients);
            let transaction = session.transaction().unwrap().clone();
            let replies = session.delivered(&transaction, &outcomes);
            assert_eq!(replies.len(), expected.len());
            for (reply, expected) in replies.iter().zip(expected) {
                let (code, word) = expected.split_once(' ').unwrap();
                let text = reply.to_string();
                assert!(
                    text.starts_with(code) && text.contains(word),
                    "{text} {expected}"
                );
                assert!(text.contains(&format!("id={}", transaction.id)));
            }
        }
    }
}

#[test]
fn refused_chunks_are_skipped_and_end_the_transaction() {
    let (session, action) = session_in(Protocol::Smtp, Phase::Chunks).line(line("BDAT 1000 LAST"));
    assert_eq!(short(&action), "refuse 1000 552");
    assert_eq!(session.phase(), Phase::Ready);
    assert_eq!(short(&session.line(line("BDAT 10 LAST")).1), "skip 10 503");
    let (_, action) = session_in(Protocol::Lmtp, Phase::Recipients).line(line("BDAT 2000 LAST"));
    let Action::RefuseChunk(2000, transaction, replies) = action else {
        panic!()
    };
    assert_eq!((transaction.recipients.len(), replies.len()), (1, 1));
    let endless = line("BDAT 99999999999999999999");
    let (_, action) = session_in(Protocol::Smtp, Phase::Recipients).line(endless);
    assert_eq!(short(&action), "close 552");
}
