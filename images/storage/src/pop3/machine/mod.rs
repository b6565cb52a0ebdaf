//! A shard's POP3 session as a pure machine: (state, line) → (state, step). No socket, no clock.
//!
//! ```text
//! Authorization ─AUTH EXTERNAL→ (Response) → Opening ─opened→ Transaction ─QUIT→ Update → Closed
//! ```

use bytes::Bytes;
use wire::handoff::{Handoff, HandoffError};
use wire::pop3::MAX_COMMAND;
use wire::pop3::command::{Command, CommandError, Verb};
use wire::pop3::framing::Line;
use wire::pop3::reply::{Code, Reply};
use wire::sasl::{self, Mechanism, SaslError};
use wire::secret::Secret;

use super::marks::Marks;
use crate::session::{ExpungeError, MaildropMessage, OpenError};

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
    use Verb::{Auth, Capa, Dele, List, Noop, Quit, Retr, Rset, Stat, Top, Uidl};
    match state {
        State::Authorization => matches!(verb, Auth | Capa | Quit),
        State::Transaction(_) => {
            matches!(
                verb,
                Capa | Dele | List | Noop | Quit | Retr | Rset | Stat | Top | Uidl
            )
        }
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
            Err(error @ OpenError::Temporary(_)) => refused(Code::SysTemp, error.to_string()),
        }
    }

    /// The deletes are durable, or not.
    pub(super) fn expunged(self, result: &Result<(), ExpungeError>) -> (Self, Step) {
        let reply = match result {
            Ok(()) => Reply::ok("bye"),
            // RFC 1939 section 6: some or none of the messages are still there; which, the client
            // sees by UIDL when it comes again.
            Err(error) => Reply::coded(Code::SysTemp, format!("messages not deleted: {error}")),
        };
        (Self::Closed, Step::Close(reply))
    }
}

fn parse(state: &State, line: &Bytes) -> Result<Command, Reply> {
    let command = Command::parse(line).map_err(|error| Reply::err(error.to_string()))?;
    if allowed(state, command.verb()) {
        return Ok(command);
    }
    Err(not_now(command.verb()))
}

fn not_now(verb: Verb) -> Reply {
    Reply::err(format!("{} is not available now", verb.as_str()))
}

fn authenticate(mechanism: &str, initial: Option<&Secret>) -> (State, Step) {
    if Mechanism::parse(mechanism) != Some(Mechanism::External) {
        let reply = Reply::err("only EXTERNAL: this port is for Palomar's proxies");
        return (State::Authorization, Step::Reply(reply));
    }
    match initial {
        None => (State::Response, Step::Challenge),
        Some(text) => handoff(sasl::initial_response(text.expose())),
    }
}

fn handoff(message: Result<Secret, SaslError>) -> (State, Step) {
    match message
        .map_err(|error| error.to_string())
        .and_then(|message| read(&message))
    {
        Ok(handoff) => (State::Opening, Step::Open(handoff)),
        Err(error) => (State::Authorization, Step::Reply(Reply::err(error))),
    }
}

fn read(message: &Secret) -> Result<Handoff, String> {
    let text = sasl::external(message.expose()).map_err(|error| error.to_string())?;
    text.parse()
        .map_err(|error: HandoffError| error.to_string())
}

fn quit(marks: Marks, messages: &[MaildropMessage]) -> (State, Step) {
    if !marks.any() {
        return (State::Closed, Step::Close(Reply::ok("bye")));
    }
    let marked = messages
        .iter()
        .enumerate()
        .filter(|(index, _)| marks.has(*index));
    let uids = marked.map(|(_, message)| message.uid).collect();
    (State::Update, Step::Expunge { uids })
}

/// The commands of the TRANSACTION state (RFC 1939 sections 5 and 7); `Err` refuses.
fn transaction(
    marks: &mut Marks,
    command: &Command,
    messages: &[MaildropMessage],
) -> Result<Step, Reply> {
    let find = |marks: &Marks, number: u32| find(marks, number, messages);
    let reply = match *command {
        Command::Stat => stat(marks, messages),
        Command::List(None) => return Ok(Step::Listing(Listing::Sizes)),
        Command::Uidl(None) => return Ok(Step::Listing(Listing::UniqueIds)),
        Command::List(Some(number)) => {
            let (_, message) = find(marks, number)?;
            format!("{number} {}", message.size)
        }
        Command::Uidl(Some(number)) => {
            let (_, message) = find(marks, number)?;
            format!("{number} {}", message.uidl)
        }
        Command::Retr(number) => {
            let (index, _) = find(marks, number)?;
            return Ok(Step::Send { index, lines: None });
        }
        Command::Top { number, lines } => {
            let (index, _) = find(marks, number)?;
            return Ok(Step::Send {
                index,
                lines: Some(lines),
            });
        }
        Command::Dele(number) => {
            let (index, _) = find(marks, number)?;
            marks.set(index);
            format!("message {number} marked")
        }
        Command::Rset => {
            marks.clear();
            stat(marks, messages)
        }
        Command::Noop => String::new(),
        ref other => return Err(not_now(other.verb())),
    };
    Ok(Step::Reply(Reply::ok(reply)))
}

/// Number and octets of the messages that are not marked.
fn stat(marks: &Marks, messages: &[MaildropMessage]) -> String {
    let kept = messages
        .iter()
        .enumerate()
        .filter(|(index, _)| !marks.has(*index));
    let (count, octets) = kept.fold((0_u64, 0_u64), |(count, octets), (_, message)| {
        (count + 1, octets.saturating_add(message.size))
    });
    format!("{count} {octets}")
}

fn find<'a>(
    marks: &Marks,
    number: u32,
    messages: &'a [MaildropMessage],
) -> Result<(usize, &'a MaildropMessage), Reply> {
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let found = index.and_then(|index| Some((index, messages.get(index)?)));
    match found {
        Some((index, _)) if marks.has(index) => {
            Err(Reply::err(format!("message {number} is already deleted")))
        }
        Some(found) => Ok(found),
        None => Err(Reply::err(format!(
            "no such message, {} in the maildrop",
            messages.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use wire::ids::Epoch;

    use super::*;

    const HANDOFF: &str = "account=67e55044-10b1-426f-9247-bb680e5fe0c8;epoch=7;\
                           client=192.0.2.1:5000;session=0a1b";

    fn snapshot() -> Vec<MaildropMessage> {
        let message = |uid, size| MaildropMessage {
            uid,
            size,
            uidl: format!("1.{uid}"),
        };
        vec![message(5, 100), message(7, 200), message(9, 20)]
    }

    fn line(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn say(state: State, text: &str) -> (State, Step) {
        state.line(line(text), &snapshot())
    }

    fn transaction() -> State {
        State::Transaction(Marks::none(3))
    }

    /// Says each line, expects each reply, and gives the state that is left.
    fn talk(mut state: State, lines: &[(&str, &str)]) -> State {
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
            for verb in Verb::ALL {
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
        for verb in Verb::ALL {
            let (next, step) = say(State::Response, &example(verb));
            assert_eq!(next, State::Authorization, "{verb:?}");
            assert!(
                matches!(step, Step::Reply(Reply { ok: false, .. })),
                "{verb:?}"
            );
        }
    }

    #[test]
    fn external_with_and_without_an_initial_response() {
        let response = sasl::encode(HANDOFF.as_bytes());
        let handoff = HANDOFF.parse().unwrap();
        let opens = (State::Opening, Step::Open(handoff));
        assert_eq!(
            say(State::Authorization, &format!("AUTH external {response}")),
            opens
        );
        let asked = say(State::Authorization, "AUTH EXTERNAL");
        assert_eq!(asked, (State::Response, Step::Challenge));
        assert_eq!(say(State::Response, &response), opens);
    }

    #[test]
    fn refused_handoffs_leave_the_session_where_it_was() {
        for text in [
            "AUTH PLAIN",
            "AUTH EXTERNAL =",
            "AUTH EXTERNAL x",
            "AUTH EXTERNAL eA==",
        ] {
            let (state, step) = say(State::Authorization, text);
            assert_eq!(state, State::Authorization, "{text}");
            assert!(
                matches!(step, Step::Reply(Reply { ok: false, .. })),
                "{text}"
            );
        }
        for bad in [line("*"), line("%"), Line::TooLong] {
            let (state, step) = State::Response.line(bad, &[]);
            assert_eq!(state, State::Authorization);
            assert!(matches!(step, Step::Reply(Reply { ok: false, .. })));
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
            (OpenError::Temporary("full".to_owned()), Code::SysTemp),
        ] {
            let (state, step) = State::Opening.opened(&Err(error));
            assert_eq!(state, State::Closed);
            assert!(matches!(step, Step::Close(reply) if reply.code == Some(code)));
        }
    }

    #[test]
    fn numbers_sizes_and_ids() {
        talk(
            transaction(),
            &[
                ("STAT", "+OK 3 320"),
                ("LIST 2", "+OK 2 200"),
                ("UIDL 3", "+OK 3 1.9"),
                ("NOOP", "+OK"),
                ("LIST 4", "-ERR no such message, 3 in the maildrop"),
                ("RETR 4294967295", "-ERR no such message, 3 in the maildrop"),
                ("APOP a b", "-ERR unknown command"),
                ("LAST", "-ERR unknown command"),
                ("TOP 1", "-ERR write: TOP number lines"),
            ],
        );
        let listing = |text| say(transaction(), text).1;
        assert_eq!(listing("LIST"), Step::Listing(Listing::Sizes));
        assert_eq!(listing("UIDL"), Step::Listing(Listing::UniqueIds));
        assert_eq!(
            listing("RETR 3"),
            Step::Send {
                index: 2,
                lines: None
            }
        );
        assert_eq!(
            listing("TOP 1 0"),
            Step::Send {
                index: 0,
                lines: Some(0)
            }
        );
    }

    #[test]
    fn marked_messages_are_gone_until_rset() {
        let state = talk(
            transaction(),
            &[
                ("DELE 2", "+OK message 2 marked"),
                ("DELE 2", "-ERR message 2 is already deleted"),
                ("RETR 2", "-ERR message 2 is already deleted"),
                ("TOP 2 0", "-ERR message 2 is already deleted"),
                ("LIST 2", "-ERR message 2 is already deleted"),
                ("UIDL 2", "-ERR message 2 is already deleted"),
                ("STAT", "+OK 2 120"),
                ("LIST 3", "+OK 3 20"),
                ("RSET", "+OK 3 320"),
                ("LIST 2", "+OK 2 200"),
            ],
        );
        assert_eq!(state, transaction());
    }

    #[test]
    fn quit_deletes_what_is_marked_and_waits_for_the_disk() {
        let marked = talk(
            transaction(),
            &[
                ("DELE 3", "+OK message 3 marked"),
                ("DELE 1", "+OK message 1 marked"),
            ],
        );
        let (state, step) = say(marked, "QUIT");
        assert_eq!(
            (&state, step),
            (&State::Update, Step::Expunge { uids: vec![5, 9] })
        );
        let done = state.clone().expunged(&Ok(()));
        assert_eq!(done, (State::Closed, Step::Close(Reply::ok("bye"))));
        let (state, step) = state.expunged(&Err(ExpungeError("moved".to_owned())));
        assert_eq!(state, State::Closed);
        let expected = Reply::coded(Code::SysTemp, "messages not deleted: moved");
        assert_eq!(step, Step::Close(expected));
    }

    #[test]
    fn quit_without_marks_touches_nothing() {
        let bye = (State::Closed, Step::Close(Reply::ok("bye")));
        assert_eq!(say(transaction(), "QUIT"), bye);
        assert_eq!(say(State::Authorization, "quit"), bye);
        let unmarked = talk(
            transaction(),
            &[("DELE 1", "+OK message 1 marked"), ("RSET", "+OK 3 320")],
        );
        assert_eq!(say(unmarked, "QUIT"), bye);
    }

    #[test]
    fn over_long_lines_are_answered_and_change_nothing() {
        let (state, step) = transaction().line(Line::TooLong, &snapshot());
        assert_eq!(state, transaction());
        assert!(matches!(step, Step::Reply(Reply { ok: false, .. })));
    }

    #[test]
    fn an_empty_maildrop() {
        let empty = State::Opening.opened(&Ok(0)).0;
        let (_, step) = empty.line(line("STAT"), &[]);
        assert_eq!(step, Step::Reply(Reply::ok("0 0")));
    }
}
