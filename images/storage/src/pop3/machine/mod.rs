//! A shard's POP3 session as a pure machine: (state, line) → (state, step). No socket, no clock.
//!
//! ```text
//! Authorization ─AUTH EXTERNAL→ (Response) → Opening ─opened→ Transaction ─QUIT→ Update → Closed
//! ```

use bytes::Bytes;
use wire::handoff::Handoff;
use wire::pop3::MAX_COMMAND;
use wire::pop3::command::{Command, CommandError, Verb};
use wire::pop3::framing::Line;
use wire::pop3::reply::{Code, Reply};
use wire::sasl::{self, SaslError};

use super::marks::Marks;
use crate::maildrop::{ExpungeError, MaildropMessage, OpenError};
use crate::shard::{Passes, Unready, Why};

mod login;
mod transaction;

use self::login::{authenticate, handoff};
use self::transaction::{quit, transaction};

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Greeted; the proxy is to say whom it brings.
    Authorization,
    /// A challenge was sent; the next line is its response.
    Response,
    /// The maildrop is being opened; [`State::opened`] goes on.
    Opening,
    /// The client is at work.
    Transaction(Marks),
    /// Deletes are being made durable; [`State::expunged`] goes on.
    Update,
    /// Over: the connection closes.
    Closed,
}

/// What the session does next; exactly one for each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// One line.
    Reply(Reply),
    /// An empty challenge.
    Challenge,
    /// What this shard can do.
    Capabilities,
    /// Open the maildrop.
    Open(Handoff),
    /// A listing of all messages that are not marked.
    Listing(Listing),
    /// A message: all, or its header and so many lines.
    Send { index: usize, lines: Option<u32> },
    /// Delete these, durably.
    Expunge { uids: Vec<u32> },
    /// One line, then the end.
    Close(Reply),
}

/// Which number a listing shows of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Sizes,
    UniqueIds,
}

/// Which commands are known where; the rest is refused with one sentence.
fn allowed(state: &State, verb: Verb) -> bool {
    use Verb::{Auth, Capa, Dele, List, Noop, Pass, Quit, Retr, Rset, Stat, Stls, Top, Uidl, User};
    let (before, after) = match verb {
        Capa | Quit => (true, true),
        Auth => (true, false),
        Dele | List | Noop | Retr | Rset | Stat | Top | Uidl => (false, true),
        // The proxy answers these.
        Pass | Stls | User => (false, false),
    };
    match state {
        State::Authorization => before,
        State::Transaction(_) => after,
        State::Response | State::Opening | State::Update | State::Closed => false,
    }
}

impl State {
    /// The longest line that is read now, with its end.
    pub(super) const fn line_cap(&self) -> usize {
        match self {
            Self::Response => sasl::MAX_LINE + 2,
            _ => MAX_COMMAND,
        }
    }

    /// The next line of the peer. `messages` is the snapshot, empty before there is one.
    pub(super) fn line(self, line: Line, messages: &[MaildropMessage]) -> (Self, Step) {
        match (self, line) {
            (Self::Response, Line::Whole(line)) => handoff(sasl::response(&line)),
            (Self::Response, Line::TooLong) => handoff(Err(SaslError::TooLong)),
            (state, Line::Whole(line)) => match parse(&state, &line) {
                Ok(command) => state.command(command, messages),
                Err(reply) => (state, Step::Reply(reply)),
            },
            (state, Line::TooLong) => (
                state,
                Step::Reply(Reply::err(CommandError::TooLong.to_string())),
            ),
        }
    }

    fn command(self, command: Command, messages: &[MaildropMessage]) -> (Self, Step) {
        match (self, command) {
            (state, Command::Capa) => (state, Step::Capabilities),
            (Self::Authorization, Command::Auth { mechanism, initial }) => {
                authenticate(&mechanism, initial.as_ref())
            }
            (Self::Transaction(marks), Command::Quit) => quit(marks, messages),
            (_, Command::Quit) => (Self::Closed, Step::Close(Reply::ok("bye"))),
            (Self::Transaction(mut marks), command) => {
                let step = transaction(&mut marks, &command, messages);
                (Self::Transaction(marks), step.unwrap_or_else(Step::Reply))
            }
            (state, command) => (state, Step::Reply(not_now(command.verb()))),
        }
    }

    /// The maildrop was opened with so many messages, or not. The proxy is told why not and may
    /// try again elsewhere: the session is over.
    pub(super) fn opened(self, result: &Result<usize, OpenError>) -> (Self, Step) {
        let refused = |code, why: String| (Self::Closed, Step::Close(Reply::coded(code, why)));
        match result {
            Ok(messages) => {
                let text = format!("{messages} messages");
                (
                    Self::Transaction(Marks::none(*messages)),
                    Step::Reply(Reply::ok(text)),
                )
            }
            Err(OpenError::Moved(epoch)) => {
                refused(Code::Moved(epoch.0), "the account is elsewhere".to_owned())
            }
            Err(error @ OpenError::InUse) => refused(Code::InUse, error.to_string()),
            Err(OpenError::NotNow(why)) => refused(code(why), why.to_string()),
        }
    }

    /// The deletes are durable, or not.
    pub(super) fn expunged(self, result: &Result<(), ExpungeError>) -> (Self, Step) {
        let reply = match result {
            Ok(()) => Reply::ok("bye"),
            // RFC 1939 section 6: some or none of the messages are still there; which, the client
            // sees by UIDL when it comes again.
            Err(error) => {
                let code = match &error.0 {
                    Unready::Moved(_) => Code::SysTemp,
                    Unready::Retry(why) => code(why),
                };
                Reply::coded(code, format!("messages not deleted: {error}"))
            }
        };
        (Self::Closed, Step::Close(reply))
    }
}

/// RFC 3206 section 4: whether a person has to do something first.
fn code(why: &Why) -> Code {
    match why.passes() {
        Passes::ByItself => Code::SysTemp,
        Passes::OnceMended | Passes::Never => Code::SysPerm,
    }
}

fn parse(state: &State, line: &Bytes) -> Result<Command, Reply> {
    let command = Command::parse(line).map_err(|error| Reply::err(error.to_string()))?;
    if allowed(state, command.verb()) {
        return Ok(command);
    }
    Err(not_now(command.verb()))
}

/// Feeds any octets as lines to sessions in both of the states that take commands.
pub(crate) fn fuzz(data: &[u8]) {
    let message = |uid| MaildropMessage {
        uid,
        size: u64::MAX,
        uidl: String::new(),
    };
    let messages = [message(1), message(2)];
    for start in [State::Authorization, State::Transaction(Marks::none(2))] {
        let mut state = start;
        for line in data.split(|octet| *octet == b'\n') {
            let line = match line.len() > state.line_cap() {
                true => Line::TooLong,
                false => Line::Whole(Bytes::copy_from_slice(line)),
            };
            let step;
            (state, step) = state.line(line, &messages);
            match step {
                Step::Close(_) => assert_eq!(state, State::Closed),
                Step::Open(_) => assert_eq!(state, State::Opening),
                Step::Expunge { uids } => {
                    assert!(state == State::Update && uids.is_sorted() && !uids.is_empty());
                }
                Step::Send { index, .. } => assert!(index < messages.len()),
                _ => {}
            }
        }
    }
}

fn not_now(verb: Verb) -> Reply {
    Reply::err(format!("{} is not available now", verb.as_str()))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use wire::ids::Epoch;

    use super::*;

    pub(super) const HANDOFF: &str = "account=67e55044-10b1-426f-9247-bb680e5fe0c8;epoch=7;\
                           client=192.0.2.1:5000;session=0a1b";

    fn snapshot() -> Vec<MaildropMessage> {
        let message = |uid, size| MaildropMessage {
            uid,
            size,
            uidl: format!("1.{uid}"),
        };
        vec![message(5, 100), message(7, 200), message(9, 20)]
    }

    pub(super) fn line(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(super) fn say(state: State, text: &str) -> (State, Step) {
        state.line(line(text), &snapshot())
    }

    pub(super) fn transaction() -> State {
        State::Transaction(Marks::none(3))
    }

    /// Says each line, expects each reply, and gives the state that is left.
    pub(super) fn talk(mut state: State, lines: &[(&str, &str)]) -> State {
        for (text, expected) in lines {
            let (next, step) = say(state, text);
            let Step::Reply(reply) = step else {
                panic!("{text}: {step:?}");
            };
            let shown = format!("{} {}", if reply.ok { "+OK" } else { "-ERR" }, reply.text);
            assert_eq!(shown.trim_end(), *expected, "{text}");
            state = next;
        }
        state
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_sessions(lines in "((AUTH EXTERNAL|AUTH PLAIN|CAPA|DELE|LIST|QUIT|RETR|RSET|STAT|TOP|UIDL)( [0-3=]){0,2}\n){0,9}") {
            fuzz(lines.as_bytes());
        }
    }

    /// A well-formed line for each verb.
    fn example(verb: Verb) -> String {
        let argument = match verb {
            Verb::Auth => format!(" EXTERNAL {}", sasl::encode(HANDOFF.as_bytes())),
            Verb::Dele | Verb::Retr => " 1".to_owned(),
            Verb::Pass | Verb::User => " x".to_owned(),
            Verb::Top => " 1 2".to_owned(),
            _ => String::new(),
        };
        format!("{}{argument}", verb.as_str())
    }

    #[test]
    fn every_command_in_every_state() {
        use Verb::{Auth, Capa, Dele, List, Noop, Quit, Retr, Rset, Stat, Top, Uidl};
        let states = [
            (State::Authorization, vec![Auth, Capa, Quit]),
            (
                transaction(),
                vec![Capa, Dele, List, Noop, Quit, Retr, Rset, Stat, Top, Uidl],
            ),
            (State::Opening, vec![]),
            (State::Update, vec![]),
            (State::Closed, vec![]),
        ];
        for (state, known) in states {
            for &verb in Verb::ALL {
                let (next, step) = say(state.clone(), &example(verb));
                let refused = step == Step::Reply(not_now(verb));
                assert_eq!(
                    !refused,
                    known.contains(&verb),
                    "{state:?} {verb:?}: {step:?}"
                );
                assert!(!refused || next == state, "{state:?} {verb:?}: {next:?}");
            }
        }
        // While a response is awaited no line is a command.
        for &verb in Verb::ALL {
            let (next, step) = say(State::Response, &example(verb));
            assert_eq!(next, State::Authorization, "{verb:?}");
            assert!(
                matches!(step, Step::Reply(Reply { ok: false, .. })),
                "{verb:?}"
            );
        }
    }

    #[test]
    fn what_opening_says() {
        let (state, step) = State::Opening.opened(&Ok(3));
        assert_eq!(
            (state, step),
            (transaction(), Step::Reply(Reply::ok("3 messages")))
        );
        for (error, code) in [
            (OpenError::Moved(Epoch(8)), Code::Moved(8)),
            (OpenError::InUse, Code::InUse),
            (OpenError::NotNow(Why::Lease), Code::SysTemp),
            (OpenError::NotNow(Why::Missing), Code::SysPerm),
        ] {
            let (state, step) = State::Opening.opened(&Err(error));
            assert_eq!(state, State::Closed);
            assert!(matches!(step, Step::Close(reply) if reply.code == Some(code)));
        }
    }

    #[test]
    fn over_long_lines_are_answered_and_change_nothing() {
        let (state, step) = transaction().line(Line::TooLong, &snapshot());
        assert_eq!(state, transaction());
        assert!(matches!(step, Step::Reply(Reply { ok: false, .. })));
    }
}
