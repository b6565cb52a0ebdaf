//! One session: carries out what the machine says.

use std::io;
use std::time::Instant;

use bytes::{BufMut as _, BytesMut};
use kit::net::Pop3Lines;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant as Moment, timeout, timeout_at};
use wire::handoff::Handoff;
use wire::identity::Identity;
use wire::pop3::framing::Line;
use wire::pop3::reply::{Code, Reply, write_challenge, write_end};
use wire::pop3::stuffing::Stuffer;

use super::Shared;
use super::machine::{Listing, State, Step};
use super::metrics::LoginLabel;
use crate::maildrop::{Maildrop, MaildropMessage, OpenError, ReadError, SessionInfo};
use crate::shard::Why;

/// Octets of a message read at once for RETR; with stuffing, what a session holds at most is a
/// few of these.
const CHUNK: usize = 64 << 10;

/// Octets read at once for TOP, which rarely wants more than a header.
const TOP_CHUNK: usize = 8 << 10;

/// Replies gather up to this much before they are sent though more input waits.
const FLUSH: usize = 32 << 10;

/// Serves one proxy connection to its end.
pub(super) async fn run<S>(shared: &Shared, stream: S, proxy: &Identity)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session = Session {
        shared,
        lines: Pop3Lines::new(stream, shared.times.write),
        state: State::Authorization,
        visit: Visit {
            shared,
            proxy,
            started: Instant::now(),
            client: None,
            maildrop: None,
            sent: 0,
            deleted: 0,
            end: End::Cut,
        },
    };
    let end = match session.talk().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let is_clean = end.is_clean();
    let Session {
        mut lines,
        mut visit,
        ..
    } = session;
    visit.end = end;
    drop(visit);
    if is_clean {
        // Whoever has left does not hear it.
        let _ = lines.close().await;
    }
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("quit")]
    Quit,
    #[error("refused")]
    Refused,
    #[error("not deleted")]
    NotDeleted,
    #[error("closed by the client")]
    Left,
    #[error("idle")]
    Idle,
    #[error("no login in time")]
    NoLogin,
    #[error("ended by the shard")]
    Ended,
    #[error("message not readable: {0}")]
    Unreadable(ReadError),
    /// At the end of the process's drain time, or by a panic.
    #[error("cut off")]
    Cut,
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
}

impl End {
    /// Whether last words are to be sent. A message cut short must not look complete.
    fn is_clean(&self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::Lost(_) | Self::Left)
    }
}

enum Never {}

struct Session<'a, S> {
    shared: &'a Shared,
    lines: Pop3Lines<S>,
    state: State,
    visit: Visit<'a>,
}

/// What a session has and has done; becomes a log line when it is dropped, however it ends.
struct Visit<'a> {
    shared: &'a Shared,
    proxy: &'a Identity,
    started: Instant,
    client: Option<Handoff>,
    maildrop: Option<Maildrop>,
    /// Octets of messages.
    sent: u64,
    /// Messages.
    deleted: u64,
    end: End,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // Frees the lock before the log line that tests and people wait for.
        if self.maildrop.take().is_some() {
            self.shared.metrics.sessions.dec();
        }
        let client = self.client.as_ref();
        tracing::info!(
            session = client.map(|client| client.session.to_string()),
            account = client.map(|client| client.account.to_string()),
            client = client.map(|client| client.client.to_string()),
            proxy = self.proxy.instance(),
            result = %self.end,
            octets = self.sent,
            deleted = self.deleted,
            ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "POP3 session"
        );
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn talk(&mut self) -> Result<Never, End> {
        let login_ends = Moment::now() + self.shared.times.login;
        let greeting = format!("Buzonera {}", self.shared.shard);
        Reply::ok(greeting).write(self.lines.out());
        loop {
            while let Some(line) = self.lines.buffered(self.state.line_cap()) {
                self.line(line).await?;
                if self.lines.out().len() >= FLUSH {
                    self.lines.flush().await?;
                }
            }
            self.lines.flush().await?;
            match self.visit.maildrop {
                None => self.listen_before_login(login_ends).await?,
                Some(_) => self.listen().await?,
            }
        }
    }

    async fn listen_before_login(&mut self, until: Moment) -> Result<(), End> {
        tokio::select! {
            read = timeout_at(until, self.lines.fill()) => match read.map_err(|_| End::NoLogin)?? {
                0 => Err(End::Left),
                _ => Ok(()),
            },
            () = self.shared.shutdown.closing() => self.ended(),
        }
    }

    async fn listen(&mut self) -> Result<(), End> {
        let ended = async {
            match &self.visit.maildrop {
                Some(maildrop) => maildrop.ended().await,
                None => std::future::pending().await,
            }
        };
        let read = timeout(self.shared.times.idle, self.lines.fill());
        tokio::select! {
            // RFC 1939 section 3: no word at autologout, and nothing is deleted.
            read = read => match read.map_err(|_| End::Idle)?? {
                0 => Err(End::Left),
                _ => Ok(()),
            },
            () = ended => self.ended(),
            () = self.shared.quiet() => self.ended(),
        }
    }

    /// The client reads this as the answer to its next command, QUIT too.
    fn ended(&mut self) -> Result<(), End> {
        let words = "this session has ended, log in again";
        Reply::coded(Code::SysTemp, words).write(self.lines.out());
        Err(End::Ended)
    }

    async fn line(&mut self, line: Line) -> Result<(), End> {
        // A shard that others have superseded answers nothing more from its snapshot.
        if let Some(maildrop) = &self.visit.maildrop
            && maildrop.ensure_current().await.is_err()
        {
            return self.ended();
        }
        let state = std::mem::replace(&mut self.state, State::Closed);
        let messages = self
            .visit
            .maildrop
            .as_ref()
            .map_or(&[][..], Maildrop::messages);
        let (mut state, mut step) = state.line(line, messages);
        // Opening and deleting have a second half once their outcome is known.
        match step {
            Step::Open(handoff) => (state, step) = self.open(state, handoff).await,
            Step::Expunge { uids } => (state, step) = self.expunge(state, &uids).await,
            _ => {}
        }
        self.state = state;
        self.carry_out(step).await
    }

    async fn carry_out(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Reply(reply) => reply.write(self.lines.out()),
            Step::Challenge => write_challenge(self.lines.out()),
            Step::Capabilities => {
                // RFC 5034 section 3: mechanisms are named where AUTH is taken.
                let login = match self.state {
                    State::Authorization => &["SASL EXTERNAL"][..],
                    _ => &[],
                };
                capabilities(login, self.lines.out());
            }
            Step::Listing(listing) => self.list(listing).await?,
            Step::Send { index, lines } => self.send(index, lines).await?,
            Step::Close(reply) => {
                reply.write(self.lines.out());
                return Err(match (reply.ok, &self.visit.maildrop) {
                    (true, _) => End::Quit,
                    (false, Some(_)) => End::NotDeleted,
                    (false, None) => End::Refused,
                });
            }
            // `line` has replaced them by their outcome.
            Step::Open(_) | Step::Expunge { .. } => {}
        }
        Ok(())
    }

    async fn open(&mut self, state: State, handoff: Handoff) -> (State, Step) {
        let metrics = &self.shared.metrics;
        let info = SessionInfo {
            session: handoff.session.to_string(),
            client: handoff.client,
        };
        let opening = self
            .shared
            .store
            .open_maildrop(handoff.account, handoff.epoch, info);
        let opened = timeout(self.shared.times.login, opening)
            .await
            .unwrap_or_else(|_| Err(OpenError::NotNow(Why::Busy)));
        metrics.logins.get_or_create(&LoginLabel::of(&opened)).inc();
        self.visit.client = Some(handoff);
        let count = opened.map(|maildrop| {
            metrics.sessions.inc();
            self.visit.maildrop.insert(maildrop).messages().len()
        });
        state.opened(&count)
    }

    /// Not bounded in time: only the disk's answer says what is true.
    async fn expunge(&mut self, state: State, uids: &[u32]) -> (State, Step) {
        let count = uids.len() as u64;
        let Some(maildrop) = &self.visit.maildrop else {
            return state.expunged(&Ok(()));
        };
        let result = maildrop.expunge(uids).await;
        match result {
            Ok(()) => {
                self.visit.deleted = count;
                self.shared.metrics.deleted.inc_by(count);
            }
            Err(_) => {
                self.shared.metrics.not_deleted.inc_by(count);
            }
        }
        state.expunged(&result)
    }

    async fn list(&mut self, listing: Listing) -> Result<(), End> {
        let (Some(maildrop), State::Transaction(marks)) = (&self.visit.maildrop, &self.state)
        else {
            return Ok(());
        };
        Reply::ok("").write(self.lines.out());
        for (index, message) in maildrop.messages().iter().enumerate() {
            if !marks.has(index) {
                list_one(listing, index, message, self.lines.out());
            }
            if self.lines.out().len() >= FLUSH {
                self.lines.flush().await?;
            }
        }
        write_end(self.lines.out());
        Ok(())
    }

    /// Streams a message. It is read as fast as the client takes it, chunk by chunk.
    async fn send(&mut self, index: usize, lines: Option<u32>) -> Result<(), End> {
        let Some(maildrop) = &self.visit.maildrop else {
            return Ok(());
        };
        let (mut stuffer, size) = match lines {
            None => (Stuffer::whole(), CHUNK),
            Some(lines) => (Stuffer::top(lines), TOP_CHUNK),
        };
        let mut chunk = match maildrop.read(index, 0, size).await {
            Ok(chunk) => chunk,
            Err(ReadError::Ended) => return self.ended(),
            Err(error) => {
                // RFC 3206 section 4: TEMP is likely to pass, PERM needs somebody's help.
                let code = match error {
                    ReadError::Damaged => Code::SysPerm,
                    ReadError::Ended
                    | ReadError::NoSuchMessage
                    | ReadError::Unreadable
                    | ReadError::Panicked => Code::SysTemp,
                };
                Reply::coded(code, error.to_string()).write(self.lines.out());
                return Ok(());
            }
        };
        let octets = maildrop
            .messages()
            .get(index)
            .map_or(0, |message| message.size);
        Reply::ok(format!("{octets} octets")).write(self.lines.out());
        let mut offset = 0;
        while !chunk.is_empty() && stuffer.wants_more() {
            offset += chunk.len() as u64;
            stuffer.push(&chunk, self.lines.out());
            if self.lines.out().len() >= FLUSH {
                self.lines.flush().await?;
            }
            chunk = maildrop
                .read(index, offset, size)
                .await
                .map_err(End::Unreadable)?;
        }
        stuffer.finish(self.lines.out());
        self.visit.sent += offset;
        self.shared.metrics.messages.inc();
        self.shared.metrics.octets.inc_by(offset);
        Ok(())
    }
}

fn capabilities(login: &[&str], out: &mut BytesMut) {
    Reply::ok("").write(out);
    for capability in wire::pop3::capabilities(login) {
        out.put_slice(capability.as_bytes());
        out.put_slice(b"\r\n");
    }
    write_end(out);
}

fn list_one(listing: Listing, index: usize, message: &MaildropMessage, out: &mut BytesMut) {
    use std::fmt::Write as _;

    let number = index + 1;
    // Writing into a buffer that grows does not fail.
    let _ = match listing {
        Listing::Sizes => write!(out, "{number} {}\r\n", message.size),
        Listing::UniqueIds => write!(out, "{number} {}\r\n", message.uidl),
    };
}
