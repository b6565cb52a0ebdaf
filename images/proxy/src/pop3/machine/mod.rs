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

mod fuzz;

pub(crate) use fuzz::fuzz;

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
        Verb::Dele
        | Verb::List
        | Verb::Noop
        | Verb::Retr
        | Verb::Rset
        | Verb::Stat
        | Verb::Top
        | Verb::Uidl => false,
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
        wire::pop3::capabilities(login)
    }
}

#[cfg(test)]
mod tests;
