//! Drives the session machine over a connection: commands in batches, bodies, replies.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use ::wire::smtp::{Command, Content, ForwardPath, Frame, Progress, Reply};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use super::intake::Intake;
use super::stream::{Broken, Stream};
use crate::accept::Message;
use crate::received::Received;
use crate::session::{Action, Line, SKIPPED_SIZES, Session, Transaction, Verdict};
use crate::shared::Server;

/// How a conversation ended.
pub(super) enum Ended {
    /// The last reply is queued; close.
    Closed,
    /// The handshake is next.
    StartTls(Session),
}

/// What one step leads to.
enum Next {
    GoOn(Session),
    End(Ended),
}

/// One session on one connection.
pub(super) struct Conversation<'a, S> {
    server: &'a Arc<Server>,
    wire: &'a mut Stream<S>,
    peer: SocketAddr,
    /// Recipients that the client sent in a row, to be resolved in one question.
    batch: Vec<ForwardPath>,
    /// The message that comes in chunks.
    intake: Option<Intake>,
    closing: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// Addresses of one question to the directory (directory.proto).
const MAX_BATCH: usize = 256;

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Conversation<'a, S> {
    pub(super) fn new(server: &'a Arc<Server>, wire: &'a mut Stream<S>, peer: SocketAddr) -> Self {
        let closing = Box::pin(server.shutdown.closing());
        Self {
            server,
            wire,
            peer,
            batch: Vec::new(),
            intake: None,
            closing,
        }
    }

    /// Until the client quits, is sent away, or starts TLS.
    pub(super) async fn run(mut self, mut session: Session) -> Result<Ended, Broken> {
        loop {
            let next = match self.wire.frame() {
                Some(frame) => self.frame(session, frame).await?,
                None if !self.batch.is_empty() => self.resolve(session).await?,
                None => self.pause(session).await?,
            };
            match next {
                Next::GoOn(went_on) => session = went_on,
                Next::End(ended) => return Ok(ended),
            }
        }
    }

    /// All that came is dealt with: sends the replies and waits for more. Between transactions this
    /// is where a process says good-bye that stops or is cordoned.
    async fn pause(&mut self, session: Session) -> Result<Next, Broken> {
        if !session.is_idle() {
            self.wire.flush().await?;
            self.wire.read_command().await?;
            return Ok(Next::GoOn(session));
        }
        if self.server.shutdown.is_closing() || self.server.door.is_cordoned() {
            return Ok(self.farewell());
        }
        self.wire.flush().await?;
        tokio::select! {
            read = self.wire.read_command() => read.map(|()| Next::GoOn(session)),
            () = &mut self.closing => Ok(self.farewell()),
        }
    }

    fn farewell(&mut self) -> Next {
        self.wire
            .say(&Reply::new(421, 3, 2, "shutting down, try again"));
        Next::End(Ended::Closed)
    }

    async fn frame(&mut self, session: Session, frame: Frame) -> Result<Next, Broken> {
        let line = match frame {
            Frame::Line(line) => match Command::parse(&line) {
                Ok(command) => Line::Command(command),
                Err(error) => Line::Malformed(error),
            },
            Frame::TooLong => Line::TooLong,
            Frame::BareEnding => Line::BareEnding,
        };
        let joins = session.would_resolve(&line) && self.batch.len() < MAX_BATCH;
        let session = if joins || self.batch.is_empty() {
            session
        } else {
            match self.resolve(session).await? {
                Next::GoOn(session) => session,
                end @ Next::End(_) => return Ok(end),
            }
        };
        if self.wire.is_full() {
            self.wire.flush().await?;
        }
        let (session, action) = session.line(line);
        self.act(session, action).await
    }

    async fn act(&mut self, session: Session, action: Action) -> Result<Next, Broken> {
        if !session.is_chunking() {
            self.intake = None;
        }
        match action {
            Action::Reply(reply) => self.wire.say(&reply),
            Action::Resolve(path) => self.batch.push(path),
            Action::StartTls(reply) => {
                self.wire.say(&reply);
                self.wire.flush().await?;
                return Ok(Next::End(Ended::StartTls(session)));
            }
            Action::Data(reply) => {
                self.wire.say(&reply);
                self.wire.flush().await?;
                return self.data(session).await;
            }
            Action::Chunk(size, reply) => return self.chunk(session, size, reply).await,
            Action::SkipChunk(size, replies) => {
                self.skip(size).await?;
                replies.iter().for_each(|reply| self.wire.say(reply));
            }
            Action::RefuseChunk(size, transaction, replies) => {
                self.skip(size).await?;
                self.refuse(&transaction, &replies);
            }
            Action::Close(reply) => return Ok(self.close(&session, reply)),
        }
        Ok(Next::GoOn(session))
    }

    /// The last word; a no is one to an open transaction too.
    fn close(&mut self, session: &Session, reply: Reply) -> Next {
        let replies = [reply];
        match session.transaction() {
            Some(transaction) if !replies[0].is_positive() => self.refuse(transaction, &replies),
            _ => replies.iter().for_each(|reply| self.wire.say(reply)),
        }
        Next::End(Ended::Closed)
    }

    /// Asks the directory for the batch, and answers its recipients in order.
    async fn resolve(&mut self, mut session: Session) -> Result<Next, Broken> {
        let batch = std::mem::take(&mut self.batch);
        let answers = self.server.resolve(session.protocol(), &batch).await;
        for (path, answer) in batch.into_iter().zip(answers) {
            let asked = path.clone();
            let (next, action) = session.resolved(path, answer);
            let (reply, closes) = match action {
                Action::Reply(reply) => (reply, false),
                Action::Close(reply) => (reply, true),
                _ => {
                    session = next;
                    continue;
                }
            };
            if let (false, Some(transaction)) = (reply.is_positive(), next.transaction()) {
                self.server
                    .log_refused_recipient(self.peer, transaction, &asked, &reply);
            }
            if closes {
                return Ok(self.close(&next, reply));
            }
            self.wire.say(&reply);
            session = next;
        }
        Ok(Next::GoOn(session))
    }

    async fn data(&mut self, session: Session) -> Result<Next, Broken> {
        let Some(mut intake) = self.open(&session, Content::data(), 0) else {
            return Ok(Next::GoOn(session));
        };
        let bound = session
            .policy()
            .max_message_size
            .saturating_mul(SKIPPED_SIZES);
        loop {
            let input = self.wire.body().await?;
            let length = input.len();
            match intake.take(input).await {
                Progress::More => self.wire.consume(length),
                Progress::Ended(octets) => {
                    self.wire.consume(octets);
                    return self.finish(session, intake).await;
                }
            }
            if intake.octets() > bound {
                return Ok(self.close(&session, session.body_endless()));
            }
        }
    }

    async fn chunk(
        &mut self,
        session: Session,
        size: u64,
        reply: Option<Reply>,
    ) -> Result<Next, Broken> {
        let intake = match self.intake.take() {
            Some(intake) => Some(intake),
            None => self.open(&session, Content::chunks(), size),
        };
        let Some(mut intake) = intake else {
            return Ok(Next::GoOn(session));
        };
        let mut left = size;
        while left > 0 {
            let input = self.wire.body().await?;
            let length = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            intake.take(&input[..length]).await;
            self.wire.consume(length);
            left -= length as u64;
        }
        match reply {
            None => self.finish(session, intake).await,
            Some(reply) if intake.is_kept() => {
                self.wire.say(&reply);
                self.intake = Some(intake);
                Ok(Next::GoOn(session))
            }
            Some(_) => {
                let (session, verdict) = session.chunk_failed();
                if let Some(Verdict::Refuse(transaction, replies)) = verdict {
                    self.refuse(&transaction, &replies);
                }
                Ok(Next::GoOn(session))
            }
        }
    }

    /// Says no to a message that was not taken in whole.
    fn refuse(&mut self, transaction: &Transaction, replies: &[Reply]) {
        replies.iter().for_each(|reply| self.wire.say(reply));
        self.server
            .log_refused_message(self.peer, transaction, replies);
    }

    async fn skip(&mut self, size: u64) -> Result<(), Broken> {
        let mut left = size;
        while left > 0 {
            let length = self.wire.body().await?.len();
            let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.wire.consume(length);
            left -= length as u64;
        }
        Ok(())
    }

    /// Begins to take a body in.
    fn open(&self, session: &Session, content: Content, expected: u64) -> Option<Intake> {
        let transaction = session.transaction()?;
        let only = match &transaction.recipients[..] {
            [one] => Some(one.path.to_string()),
            _ => None,
        };
        let received = Received {
            helo: session.helo(),
            client: self.peer.ip(),
            hostname: &session.policy().hostname,
            with: session.with(),
            id: &transaction.id,
            recipient: only.as_deref(),
            at: Timestamp::now(),
        };
        let expected = transaction.announced.unwrap_or(expected);
        let limit = session.policy().max_message_size;
        let (from, header) = (&transaction.from, received.to_header());
        let store = self.server.bodies.clone();
        Some(Intake::new(
            content,
            from,
            &header,
            store,
            (limit, expected),
        ))
    }

    /// The body is whole: judges it, delivers it, answers.
    async fn finish(&mut self, session: Session, intake: Intake) -> Result<Next, Broken> {
        let taken = intake.finish().await;
        let (session, verdict) = session.body_ended(&taken.summary);
        let message = |transaction: Transaction| Message {
            peer: self.peer,
            protocol: session.protocol(),
            size: taken.summary.octets,
            transaction,
            delivery: taken.delivery,
            message_id: taken.message_id.clone(),
        };
        let replies = match (verdict, taken.body) {
            (Some(Verdict::Deliver(transaction)), Some(body)) => {
                let message = message(transaction);
                let outcome = self.server.deliver(&message, body).await;
                let replies = session.delivered(&message.transaction, &outcome.delivered);
                self.server.log_delivered(&message, &outcome, &replies);
                replies
            }
            (Some(Verdict::Refuse(transaction, replies)), _) => {
                self.server
                    .log_refused_body(&message(transaction), &replies);
                replies
            }
            (Some(Verdict::Deliver(_)), None) | (None, _) => Vec::new(),
        };
        replies.iter().for_each(|reply| self.wire.say(reply));
        Ok(Next::GoOn(session))
    }
}
