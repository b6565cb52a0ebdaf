//! Any octets through framer, parser and machine, as the driver takes them.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use wire::ids::{AccountId, Epoch};
use wire::smtp::{Command, Content, Flaws, ForwardPath, Frame, Framer, Progress};

use super::{
    Action, BodySummary, Delivered, Kept, Line, Policy, Protocol, Resolved, Session, Target,
    Verdict,
};

const MAX_RECIPIENTS: usize = 3;
const MAX_ERRORS: u32 = 4;

/// Feeds any octets to a session of either protocol: no body comes without recipients, bounds
/// hold, and what a body is made of is never taken for a command.
pub fn fuzz(data: &[u8]) {
    for protocol in [Protocol::Smtp, Protocol::Lmtp] {
        run(protocol, data);
    }
}

fn run(protocol: Protocol, data: &[u8]) {
    let policy = Policy {
        hostname: "mx.example".into(),
        max_message_size: 40,
        max_recipients: MAX_RECIPIENTS,
        max_unknown: 2,
        max_errors: MAX_ERRORS,
        max_received: 100,
    };
    let mut session = Some(Session::new(Arc::new(policy), protocol, true));
    let (mut framer, mut input) = (Framer::default(), BytesMut::from(data));
    let mut tls = false;
    while let Some(current) = session.take() {
        let Some(frame) = framer.next(&mut input) else {
            return;
        };
        let (next, action) = current.line(line(frame));
        session = act(next, action, &mut input, &mut tls);
    }
}

fn line(frame: Frame) -> Line {
    match frame {
        Frame::Line(line) => match Command::parse(&line) {
            Ok(command) => Line::Command(command),
            Err(error) => Line::Malformed(error),
        },
        Frame::TooLong => Line::TooLong,
        Frame::BareEnding => Line::BareEnding,
    }
}

/// Does what the machine says; none when the connection ends.
fn act(session: Session, action: Action, input: &mut BytesMut, tls: &mut bool) -> Option<Session> {
    match action {
        Action::Reply(_) => Some(session),
        Action::Close(_) => None,
        Action::Resolve(path) => {
            let answer = answer(&path);
            let (session, action) = session.resolved(path, answer);
            let recipients = session
                .transaction()
                .map_or(0, |open| open.recipients.len());
            assert!(recipients <= MAX_RECIPIENTS);
            matches!(action, Action::Reply(_)).then_some(session)
        }
        Action::StartTls(_) => {
            assert!(!std::mem::replace(tls, true), "TLS twice");
            // What else came is gone.
            input.clear();
            Some(session.tls_started())
        }
        Action::Data(_) => data(session, input),
        Action::Chunk(size, reply) => {
            assert!(size <= 40 && recipients(&session) > 0);
            if !take(input, size) {
                return None;
            }
            Some(match reply {
                Some(_) => session,
                None => finish(session, size),
            })
        }
        Action::SkipChunk(size, replies) => {
            assert!(!replies.is_empty());
            take(input, size).then_some(session)
        }
        Action::RefuseChunk(size, transaction, replies) => {
            assert!(!replies.is_empty() && !transaction.recipients.is_empty());
            assert!(session.is_idle());
            take(input, size).then_some(session)
        }
    }
}

fn data(session: Session, input: &mut BytesMut) -> Option<Session> {
    assert!(recipients(&session) > 0 && !session.is_chunking());
    let mut content = Content::data();
    match content.decode(input, &mut |_| {}) {
        Progress::More => None,
        Progress::Ended(octets) => {
            input.advance(octets);
            Some(finish(session, content.octets()))
        }
    }
}

fn finish(session: Session, octets: u64) -> Session {
    let summary = BodySummary {
        octets,
        flaws: Flaws::default(),
        received: 0,
        kept: Kept::Whole,
    };
    let (session, verdict) = session.body_ended(&summary);
    assert!(session.is_idle());
    match verdict.expect("a body without a transaction") {
        Verdict::Deliver(transaction) => {
            let stored = vec![Delivered::Stored; transaction.recipients.len()];
            let replies = session.delivered(&transaction, &stored);
            let each = session.protocol() == Protocol::Lmtp;
            assert_eq!(replies.len(), if each { stored.len() } else { 1 });
        }
        Verdict::Refuse(_, replies) => assert!(octets > 40 && !replies.is_empty()),
    }
    session
}

fn recipients(session: &Session) -> usize {
    session
        .transaction()
        .map_or(0, |open| open.recipients.len())
}

/// Drops so many octets; false when the client has not sent them.
fn take(input: &mut BytesMut, size: u64) -> bool {
    match usize::try_from(size) {
        Ok(size) if size <= input.len() => {
            input.advance(size);
            true
        }
        _ => false,
    }
}

/// A directory whose answers depend on the recipient.
fn answer(path: &ForwardPath) -> Resolved {
    match path.to_string().len() % 8 {
        0 => Resolved::Unknown,
        1 => Resolved::Foreign,
        2 => Resolved::OverQuota,
        3 => Resolved::Unsure,
        _ => Resolved::Known(vec![Target {
            account: AccountId::from_bytes([1; 16]),
            address: path.to_string(),
            shard: "shard-1".parse().expect("a shard's name"),
            endpoint: String::new(),
            epoch: Epoch(1),
            stale: false,
        }]),
    }
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
        fn near_sessions(
            lines in prop::collection::vec(
                "(EHLO c|LHLO c|HELO c|MAIL FROM:<>( SIZE=[0-9]{1,3})?|RCPT TO:<(postmaster|[ab]{1,9}@c)>|\
                  DATA|BDAT [0-9]{1,2}( LAST)?|RSET|NOOP|STARTTLS|QUIT|\\.|[a.]{0,9})(\r\n|\r\n|\r\n|\n|\r)",
                0..30,
            ),
            hello in "(EHLO|LHLO) c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n",
        ) {
            let data = lines.concat();
            fuzz(data.as_bytes());
            fuzz(format!("{hello}{data}").as_bytes());
        }
    }
}
