//! POP3 before login as a pure machine: (state, line) → (state, step). No socket, no clock.
//!
//! ```text
//! Commands ─STLS→ Upgrading ─encrypted→ Commands ─PASS or AUTH→ Authenticating ─granted→ the shard
//! ```

use bytes::Bytes;
use wire::pop3::MAX_COMMAND;
use wire::pop3::command::{Command, CommandError, Verb};
use wire::pop3::framing::Line;
use wire::pop3::reply::{Code, Reply};
use wire::sasl::{self, Mechanism, Plain, SaslError};
use wire::secret::Secret;

/// How many lines without sense are answered before the connection closes: no mail client sends
/// one, and what speaks HTTP to us sends some.
const MAX_MISTAKES: u32 = 10;

/// A client that has not logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreAuth {
    phase: Phase,
    encrypted: bool,
    mistakes: u32,
    /// Logins that failed for good, and how many are allowed.
    failed: u32,
    max_failed: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Waiting for a command, perhaps after USER.
    Commands { user: Option<String> },
    /// An empty challenge was sent; the next line is its response.
    Response,
    /// TLS is being negotiated; [`PreAuth::encrypted`] goes on.
    Upgrading,
    /// The directory is asked; [`PreAuth::refused`] goes on, or the shard takes over.
    Authenticating,
    /// Over: the connection closes.
    Closed,
}

/// What to do next; exactly one for each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// One line.
    Reply(Reply),
    /// An empty challenge.
    Challenge,
    /// What a client can do now, one a line.
    Capabilities(Vec<&'static str>),
    /// One line, then TLS.
    StartTls(Reply),
    /// Ask the directory.
    Login { login: String, password: Secret },
    /// One line, then the end.
    Close(Reply),
}

/// Why a login did not reach the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The directory says no.
    Denied,
    /// Nobody can say now, or the shard cannot serve now: the client may come again.
    Temporary(&'static str),
    /// The shard's own words, passed on.
    Shard(Reply),
}

/// Which commands are answered where; the rest is refused with one sentence. Passwords are taken
/// under TLS only.
fn allowed(encrypted: bool, verb: Verb) -> bool {
    match verb {
        Verb::Capa | Verb::Quit => true,
        Verb::Stls => !encrypted,
        Verb::User | Verb::Pass | Verb::Auth => encrypted,
        _ => false,
    }
}

impl PreAuth {
    /// A client that has connected, with TLS (port 995) or yet without (port 110). After
    /// `max_failed` failed logins the connection closes.
    pub(crate) const fn new(encrypted: bool, max_failed: u32) -> Self {
        let phase = Phase::Commands { user: None };
        Self {
            phase,
            encrypted,
            mistakes: 0,
            failed: 0,
            max_failed,
        }
    }

    /// The longest line that is read now, with its end.
    pub(crate) const fn line_cap(&self) -> usize {
        match self.phase {
            Phase::Response => sasl::MAX_LINE + 2,
            _ => MAX_COMMAND,
        }
    }

    /// The client's next line; `more` says whether octets after it have already come.
    pub(crate) fn line(mut self, line: Line, more: bool) -> (Self, Step) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        match (phase, line) {
            (Phase::Commands { user }, Line::Whole(line)) => self.command(user, &line, more),
            (Phase::Commands { user }, Line::TooLong) => {
                self.phase = Phase::Commands { user };
                self.mistake(CommandError::TooLong.to_string())
            }
            (Phase::Response, Line::Whole(line)) => self.plain(sasl::response(&line)),
            (Phase::Response, Line::TooLong) => self.plain(Err(SaslError::TooLong)),
            (Phase::Upgrading | Phase::Authenticating | Phase::Closed, _) => {
                (self, Step::Close(Reply::err("too early")))
            }
        }
    }

    /// TLS stands. What the client said before is forgotten (RFC 2595 section 4).
    pub(crate) fn encrypted(self) -> Self {
        let phase = Phase::Commands { user: None };
        Self {
            phase,
            encrypted: true,
            ..self
        }
    }

    /// The login failed; the client may try again, but not for ever.
    pub(crate) fn refused(mut self, refusal: Refusal) -> (Self, Step) {
        let reply = match refusal {
            Refusal::Denied => {
                self.failed += 1;
                Reply::coded(Code::Auth, "wrong name or password")
            }
            Refusal::Temporary(why) => Reply::coded(Code::SysTemp, why),
            Refusal::Shard(reply) => reply,
        };
        if self.failed >= self.max_failed {
            self.phase = Phase::Closed;
            return (self, Step::Close(reply));
        }
        self.answer(reply)
    }

    fn command(mut self, user: Option<String>, line: &Bytes, more: bool) -> (Self, Step) {
        self.phase = Phase::Commands { user: user.clone() };
        let command = match Command::parse(line) {
            Ok(command) if allowed(self.encrypted, command.verb()) => command,
            Ok(command) => {
                let refusal = self.not_now(command.verb());
                return self.mistake(refusal);
            }
            Err(error) => return self.mistake(error.to_string()),
        };
        match command {
            Command::Capa => {
                let capabilities = self.capabilities();
                (self, Step::Capabilities(capabilities))
            }
            Command::Quit => self.close(Reply::ok("bye")),
            Command::Stls => self.start_tls(more),
            Command::User(name) => {
                self.phase = Phase::Commands { user: Some(name) };
                // The same for names that do not exist.
                (self, Step::Reply(Reply::ok("now PASS")))
            }
            Command::Pass(password) => match user {
                Some(login) => self.login(login, password),
                None => self.mistake("USER comes first"),
            },
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            other => {
                let refusal = self.not_now(other.verb());
                self.mistake(refusal)
            }
        }
    }

    /// Octets that came in the clear behind STLS may be an attacker's, meant to be taken for the
    /// client's own after the handshake: such a connection ends.
    fn start_tls(mut self, more: bool) -> (Self, Step) {
        if more {
            return self.close(Reply::err("nothing may follow STLS before its answer"));
        }
        self.phase = Phase::Upgrading;
        (self, Step::StartTls(Reply::ok("begin TLS")))
    }

    fn auth(mut self, mechanism: &str, initial: Option<&Secret>) -> (Self, Step) {
        if Mechanism::parse(mechanism) != Some(Mechanism::Plain) {
            return self.mistake("unknown mechanism: PLAIN is the one");
        }
        match initial {
            Some(text) => self.plain(sasl::initial_response(text.expose())),
            None => {
                self.phase = Phase::Response;
                (self, Step::Challenge)
            }
        }
    }

    fn plain(self, message: Result<Secret, SaslError>) -> (Self, Step) {
        match message.and_then(|message| Plain::parse(message.expose())) {
            Ok(plain) if plain.acts_for_another() => {
                self.mistake("nobody may act for another: leave the authorization identity empty")
            }
            Ok(plain) => self.login(plain.authcid, plain.password),
            Err(error) => self.mistake(error.to_string()),
        }
    }

    fn login(mut self, login: String, password: Secret) -> (Self, Step) {
        self.phase = Phase::Authenticating;
        (self, Step::Login { login, password })
    }

    fn answer(mut self, reply: Reply) -> (Self, Step) {
        self.phase = Phase::Commands { user: None };
        (self, Step::Reply(reply))
    }

    fn close(mut self, reply: Reply) -> (Self, Step) {
        self.phase = Phase::Closed;
        (self, Step::Close(reply))
    }

    /// Answers a line that a mail client would not have sent. What USER said stays said.
    fn mistake(mut self, why: impl Into<String>) -> (Self, Step) {
        self.mistakes += 1;
        if self.mistakes >= MAX_MISTAKES {
            return self.close(Reply::err("too many mistakes"));
        }
        if !matches!(self.phase, Phase::Commands { .. }) {
            self.phase = Phase::Commands { user: None };
        }
        (self, Step::Reply(Reply::err(why)))
    }

    fn not_now(&self, verb: Verb) -> String {
        match verb {
            Verb::User | Verb::Pass | Verb::Auth => "STLS comes first".to_owned(),
            Verb::Stls => "TLS already stands".to_owned(),
            _ => format!("{} comes after login", verb.as_str()),
        }
    }

    /// RFC 2449 section 5, RFC 2595 section 4: STLS goes once it is done, and no way to log in
    /// is shown before.
    fn capabilities(&self) -> Vec<&'static str> {
        let login: &[_] = if self.encrypted {
            &["USER", "SASL PLAIN"]
        } else {
            &["STLS"]
        };
        [login, &wire::pop3::CAPABILITIES].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `\0tim\0tanstaaf`
    const PLAIN: &str = "AHRpbQB0YW5zdGFhZg==";

    fn say(state: PreAuth, text: &str) -> (PreAuth, Step) {
        state.line(Line::Whole(Bytes::copy_from_slice(text.as_bytes())), false)
    }

    fn plain() -> PreAuth {
        PreAuth::new(false, 3)
    }

    fn encrypted() -> PreAuth {
        PreAuth::new(true, 3)
    }

    fn login() -> Step {
        Step::Login {
            login: "tim".to_owned(),
            password: Secret::new("tanstaaf"),
        }
    }

    fn refused(step: &Step) -> bool {
        matches!(step, Step::Reply(reply) if !reply.ok)
    }

    /// A well-formed line for each verb.
    fn example(verb: Verb) -> String {
        let argument = match verb {
            Verb::Auth => " PLAIN",
            Verb::Dele | Verb::Retr => " 1",
            Verb::Pass | Verb::User => " x",
            Verb::Top => " 1 2",
            _ => "",
        };
        format!("{}{argument}", verb.as_str())
    }

    #[test]
    fn every_command_in_every_state() {
        use Verb::{Auth, Capa, Pass, Quit, Stls, User};
        let after_user = say(encrypted(), "USER tim").0;
        for (state, known) in [
            (plain(), vec![Capa, Quit, Stls]),
            (encrypted(), vec![Auth, Capa, Quit, User]),
            (after_user, vec![Auth, Capa, Pass, Quit, User]),
        ] {
            for verb in Verb::ALL {
                let (next, step) = say(state.clone(), &example(verb));
                assert_eq!(
                    !refused(&step),
                    known.contains(&verb),
                    "{state:?} {verb:?} {step:?}"
                );
                assert!(
                    !refused(&step) || next.phase == state.phase,
                    "{verb:?}: {next:?}"
                );
            }
        }
        let challenged = say(encrypted(), "AUTH PLAIN").0;
        let asking = say(encrypted(), &format!("AUTH PLAIN {PLAIN}")).0;
        let upgrading = say(plain(), "STLS").0;
        let closed = say(plain(), "QUIT").0;
        for verb in Verb::ALL {
            // While a response is awaited no line is a command.
            let (next, step) = say(challenged.clone(), &example(verb));
            assert!(
                refused(&step) && next.phase == Phase::Commands { user: None },
                "{verb:?}"
            );
            for state in [&asking, &upgrading, &closed] {
                let (next, step) = say(state.clone(), &example(verb));
                assert!(next.phase == Phase::Closed && matches!(step, Step::Close(_)));
            }
        }
    }

    #[test]
    fn capabilities_change_with_tls() {
        let shown = |state| match say(state, "CAPA").1 {
            Step::Capabilities(lines) => lines,
            other => panic!("{other:?}"),
        };
        let (before, after) = (shown(plain()), shown(encrypted()));
        assert!(before.contains(&"STLS"));
        assert!(!before.contains(&"USER") && !before.contains(&"SASL PLAIN"));
        assert!(!after.contains(&"STLS"));
        assert!(after.contains(&"USER") && after.contains(&"SASL PLAIN"));
        assert!(before.contains(&"UIDL") && after.contains(&"PIPELINING"));
    }

    #[test]
    fn stls_forgets_and_nothing_may_follow_it() {
        let (state, step) = say(plain(), "STLS");
        assert_eq!(step, Step::StartTls(Reply::ok("begin TLS")));
        assert_eq!(state.encrypted(), encrypted());
        let line = Line::Whole(Bytes::from_static(b"STLS"));
        let (state, step) = plain().line(line, true);
        assert_eq!(state.phase, Phase::Closed);
        assert!(matches!(step, Step::Close(reply) if !reply.ok));
    }

    #[test]
    fn user_and_pass() {
        let (state, step) = say(encrypted(), "USER tim");
        assert_eq!(step, Step::Reply(Reply::ok("now PASS")));
        let (state, step) = say(state, "PASS tanstaaf");
        assert_eq!(step, login());
        // After a refusal the name is to be said again.
        let (state, _) = state.refused(Refusal::Denied);
        assert!(refused(&say(state, "PASS tanstaaf").1));
        // The last name counts, and a mistake between the two is forgiven.
        let state = say(say(encrypted(), "USER tom").0, "USER tim").0;
        assert_eq!(say(say(state, "NOOP").0, "PASS tanstaaf").1, login());
    }

    #[test]
    fn spaces_are_part_of_a_password() {
        let (_, step) = say(say(encrypted(), "USER tim").0, "PASS  a  b ");
        let expected = Secret::new(" a  b ");
        assert!(matches!(step, Step::Login { password, .. } if password == expected));
    }

    #[test]
    fn auth_plain_with_and_without_an_initial_response() {
        assert_eq!(say(encrypted(), &format!("auth plain {PLAIN}")).1, login());
        let (state, step) = say(encrypted(), "AUTH PLAIN");
        assert_eq!(step, Step::Challenge);
        assert_eq!(state.line_cap(), sasl::MAX_LINE + 2);
        assert_eq!(say(state.clone(), PLAIN).1, login());
        for bad in ["*", "", "x", "dGlt"] {
            let (next, step) = say(state.clone(), bad);
            assert!(refused(&step) && next.line_cap() == MAX_COMMAND, "{bad}");
        }
        let (_, step) = state.line(Line::TooLong, false);
        assert!(refused(&step));
    }

    #[test]
    fn refuses_other_mechanisms_and_other_identities() {
        let other = sasl::encode(b"root\0tim\0tanstaaf");
        for line in [
            "AUTH EXTERNAL =",
            "AUTH CRAM-MD5",
            &format!("AUTH PLAIN {other}"),
        ] {
            let (state, step) = say(encrypted(), line);
            assert!(refused(&step), "{line}");
            assert_eq!(state.failed, 0);
        }
    }

    #[test]
    fn failed_logins_are_counted_and_temporary_ones_are_not() {
        let asking = |state| say(state, &format!("AUTH PLAIN {PLAIN}")).0;
        let mut state = encrypted();
        for _ in 0..5 {
            let (next, step) = asking(state).refused(Refusal::Temporary("later"));
            assert_eq!(step, Step::Reply(Reply::coded(Code::SysTemp, "later")));
            state = next;
        }
        let in_use = Reply::coded(Code::InUse, "busy");
        let (mut state, step) = asking(state).refused(Refusal::Shard(in_use.clone()));
        assert_eq!(step, Step::Reply(in_use));
        let denied = Reply::coded(Code::Auth, "wrong name or password");
        for _ in 0..2 {
            let (next, step) = asking(state).refused(Refusal::Denied);
            assert_eq!(step, Step::Reply(denied.clone()));
            state = next;
        }
        let (state, step) = asking(state).refused(Refusal::Denied);
        assert_eq!((state.phase, step), (Phase::Closed, Step::Close(denied)));
    }

    #[test]
    fn mistakes_end_it() {
        let mut state = plain();
        for _ in 1..MAX_MISTAKES {
            let (next, step) = say(state, "GET / HTTP/1.1");
            assert!(refused(&step));
            state = next;
        }
        let (state, step) = state.line(Line::TooLong, false);
        assert!(state.phase == Phase::Closed && matches!(step, Step::Close(_)));
    }
}
