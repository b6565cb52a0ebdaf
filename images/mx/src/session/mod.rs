//! One SMTP or LMTP session as a pure machine: commands and results in, actions out.
//!
//! It opens no socket and reads no clock. [`table`] says which command is allowed when; each step
//! consumes the session and gives the next one, with what its driver has to do.

mod body;
mod fuzz;
mod replies;
mod table;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;

use wire::smtp::{Command, CommandError, ForwardPath, HeloName, Mail, Reply, Verb};

pub use body::{BodySummary, Delivered, Kept, Verdict};
pub use fuzz::fuzz;
use table::{Phase, Rule};
pub use transaction::{Recipient, Resolved, Target, Transaction};

/// What the listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

impl Protocol {
    /// Lower case, for names of listeners, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }
}

/// What the machine has to know of the configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The name in the greeting and in Received.
    pub hostname: String,
    /// Octets; announced, checked at MAIL and while the body comes.
    pub max_message_size: u64,
    /// Recipients of one transaction.
    pub max_recipients: usize,
    /// Unknown recipients of one session before it is closed.
    pub max_unknown: u32,
    /// Refused commands of one session before it is closed.
    pub max_errors: u32,
    /// Received fields of a message that is not yet taken for a loop.
    pub max_received: u32,
}

/// A refused body is read to its end, but not beyond this many times the allowed size.
pub const SKIPPED_SIZES: u64 = 4;

/// One session between two steps.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    protocol: Protocol,
    tls: Tls,
    helo: Option<Hello>,
    transaction: Option<Transaction>,
    errors: u32,
    unknown: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Absent,
    Offered,
    Active,
}

#[derive(Debug, Clone)]
struct Hello {
    name: HeloName,
    extended: bool,
}

/// A line that came in: a command, or what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A command in good form.
    Command(Command),
    /// A line that is not a command.
    Malformed(CommandError),
    /// A line with too many octets.
    TooLong,
    /// A line with a bare CR or LF.
    BareEnding,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Action {
    /// Send this.
    Reply(Reply),
    /// Ask the directory and call [`Session::resolved`].
    Resolve(ForwardPath),
    /// Send this, drop what else was read, do the handshake and call [`Session::tls_started`].
    StartTls(Reply),
    /// Send this, read the body up to its end, and call [`Session::body_ended`].
    Data(Reply),
    /// Read so many octets into the body; then send the reply or, where there is none, the message
    /// is whole: call [`Session::body_ended`].
    Chunk(u64, Option<Reply>),
    /// Read so many octets and drop them, then send this.
    SkipChunk(u64, Vec<Reply>),
    /// Likewise; the transaction that the octets were for has ended.
    RefuseChunk(u64, Transaction, Vec<Reply>),
    /// Send this and close.
    Close(Reply),
}

impl Session {
    /// A fresh session; `tls_offered`: there is a certificate for STARTTLS.
    pub fn new(policy: Arc<Policy>, protocol: Protocol, tls_offered: bool) -> Self {
        let tls = if tls_offered {
            Tls::Offered
        } else {
            Tls::Absent
        };
        Self {
            policy,
            protocol,
            tls,
            helo: None,
            transaction: None,
            errors: 0,
            unknown: 0,
        }
    }

    /// A fresh session on a connection that is encrypted from the first octet.
    pub fn for_tls(policy: Arc<Policy>, protocol: Protocol) -> Self {
        Self::new(policy, protocol, false).tls_started()
    }

    /// What it was made with.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What the server says first.
    pub fn greeting(&self) -> Reply {
        replies::greeting(&self.policy.hostname, self.protocol)
    }

    /// Whether no transaction is open, so that nothing is lost by closing.
    pub fn is_idle(&self) -> bool {
        self.transaction.is_none()
    }

    /// Whether a message is coming in chunks: more BDAT may follow.
    pub fn is_chunking(&self) -> bool {
        self.phase() == Phase::Chunks
    }

    /// The open transaction.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// What the client called itself; empty before HELO.
    pub fn helo(&self) -> &str {
        self.helo.as_ref().map_or("", |helo| helo.name.as_str())
    }

    /// The protocol as Received names it (RFC 3848): ESMTP, ESMTPS, SMTP, LMTP, LMTPS.
    pub fn with(&self) -> &'static str {
        let extended = self.helo.as_ref().is_some_and(|helo| helo.extended);
        match (self.protocol, extended, self.tls) {
            (Protocol::Lmtp, _, Tls::Active) => "LMTPS",
            (Protocol::Lmtp, ..) => "LMTP",
            (Protocol::Smtp, true, Tls::Active) => "ESMTPS",
            (Protocol::Smtp, true, _) => "ESMTP",
            (Protocol::Smtp, false, _) => "SMTP",
        }
    }

    /// Whether a line would be answered by [`Action::Resolve`], so that it may join a batch.
    pub fn would_resolve(&self, line: &Line) -> bool {
        matches!(line, Line::Command(Command::Rcpt(_)))
            && table::rule(self.protocol, self.phase(), Verb::Rcpt) == Rule::Allowed
    }

    /// One line.
    #[must_use]
    pub fn line(self, line: Line) -> (Self, Action) {
        match line {
            Line::Command(command) => self.command(command),
            Line::TooLong => self.refuse(replies::line_too_long()),
            Line::BareEnding => self.refuse(replies::bare_ending()),
            // How many octets follow is not known: nothing after this can be understood.
            Line::Malformed(
                error @ CommandError::Syntax {
                    verb: Verb::Bdat, ..
                },
            ) => (self, Action::Close(replies::malformed(&error))),
            Line::Malformed(error) => self.refuse(replies::malformed(&error)),
        }
    }

    fn command(self, command: Command) -> (Self, Action) {
        match table::rule(self.protocol, self.phase(), command.verb()) {
            Rule::Allowed => self.allowed(command),
            Rule::Refused(refusal) => match command {
                Command::Bdat { size, .. } => self.skip_chunk(size, vec![refusal.reply()]),
                _ => self.refuse(refusal.reply()),
            },
        }
    }

    fn allowed(self, command: Command) -> (Self, Action) {
        let reply = match command {
            Command::Helo(name) => return self.hello(name, false),
            Command::Ehlo(name) | Command::Lhlo(name) => return self.hello(name, true),
            Command::Mail(mail) => return self.mail(mail),
            Command::Rcpt(path) => return (self, Action::Resolve(path)),
            Command::Data => return (self, Action::Data(replies::start_data())),
            Command::Bdat { size, last } => return self.chunk(size, last),
            Command::StartTls => return self.start_tls(),
            Command::Quit => return (self, Action::Close(replies::bye())),
            Command::Rset => return (self.reset(), Action::Reply(replies::ok())),
            Command::Noop => replies::ok(),
            Command::Vrfy => replies::cannot_verify(),
            Command::Expn => replies::no_expansion(),
            Command::Help => replies::help(),
        };
        (self, Action::Reply(reply))
    }

    fn hello(self, name: HeloName, extended: bool) -> (Self, Action) {
        let helo = Some(Hello { name, extended });
        let session = Self {
            helo,
            ..self.reset()
        };
        let offered = session.tls == Tls::Offered;
        let reply = replies::hello(&session.policy, extended, offered);
        (session, Action::Reply(reply))
    }

    fn mail(self, mail: Mail) -> (Self, Action) {
        if mail
            .size
            .is_some_and(|size| size > self.policy.max_message_size)
        {
            return (self, Action::Reply(replies::too_large()));
        }
        let transaction = Some(Transaction::new(mail.from, mail.size));
        (
            Self {
                transaction,
                ..self
            },
            Action::Reply(replies::sender_ok()),
        )
    }

    fn start_tls(self) -> (Self, Action) {
        match self.tls {
            Tls::Offered => (self, Action::StartTls(replies::start_tls())),
            Tls::Absent => self.refuse(replies::no_tls()),
            Tls::Active => self.refuse(replies::already_tls()),
        }
    }

    /// The handshake is done: all that was said before it is forgotten (RFC 3207 section 4.2).
    #[must_use]
    pub fn tls_started(self) -> Self {
        Self {
            tls: Tls::Active,
            helo: None,
            transaction: None,
            ..self
        }
    }

    /// The directory's answer for a recipient.
    #[must_use]
    pub fn resolved(mut self, path: ForwardPath, answer: Resolved) -> (Self, Action) {
        let Some(transaction) = &mut self.transaction else {
            return self.refuse(replies::need_mail());
        };
        if transaction.recipients.len() >= self.policy.max_recipients {
            return (self, Action::Reply(replies::too_many_recipients()));
        }
        let reply = replies::recipient(&answer);
        match answer {
            Resolved::Known(targets) => {
                transaction.recipients.push(Recipient { path, targets });
            }
            Resolved::Unknown | Resolved::Foreign => {
                self.unknown += 1;
                if self.unknown >= self.policy.max_unknown {
                    return (self, Action::Close(replies::too_many_unknown()));
                }
            }
            Resolved::OverQuota | Resolved::Unsure => {}
        }
        (self, Action::Reply(reply))
    }

    fn phase(&self) -> Phase {
        match (&self.transaction, &self.helo) {
            (None, None) => Phase::Start,
            (None, Some(_)) => Phase::Ready,
            (Some(transaction), _) if transaction.chunked.is_some() => Phase::Chunks,
            (Some(transaction), _) if transaction.recipients.is_empty() => Phase::Sender,
            (Some(_), _) => Phase::Recipients,
        }
    }

    fn reset(self) -> Self {
        Self {
            transaction: None,
            ..self
        }
    }

    /// Refuses a command, and the session after too many of them.
    fn refuse(mut self, reply: Reply) -> (Self, Action) {
        self.errors += 1;
        if self.errors > self.policy.max_errors {
            return (self, Action::Close(replies::too_many_errors()));
        }
        (self, Action::Reply(reply))
    }
}
