//! One client, from its connection to its last octet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use kit::lifecycle::Shutdown;
use kit::listener::{Accepted, Admission, Refusal as Full};
use kit::net::Pop3Lines;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::pop3::reply::{Code, Reply, write_challenge, write_end};
use wire::secret::Secret;

use super::machine::{PreAuth, Step};
use super::record::Record;
use crate::login::{Admitted, Gate};
use crate::metrics::Metrics;
use crate::pump::{self, Side, pump};

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// In the clear, TLS by STLS (port 110).
    StartTls,
    /// TLS at once (port 995).
    Implicit,
}

/// What all clients share.
pub(crate) struct Front {
    pub(crate) gate: Gate,
    pub(crate) tls: TlsAcceptor,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
}

/// Bounds of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From connecting to login, without the waits that we impose.
    pub(crate) login: Duration,
    /// Failed logins until the connection closes.
    pub(crate) max_failed: u32,
    /// After login.
    pub(crate) pump: pump::Limits,
}

/// How a client's connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// By QUIT, or by us after too many mistakes or failed logins.
    #[error("closed before login")]
    Closed,
    #[error("left before login")]
    Left,
    #[error("no login in time")]
    Slow,
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("lost before login: {0}")]
    Lost(#[from] io::Error),
    #[error("we are stopping")]
    Stopping,
    /// At the end of the process's drain time, or by a panic.
    #[error("cut off")]
    Cut,
    /// After login.
    #[error(transparent)]
    Pumped(#[from] pump::End),
}

/// What a client reads when there is no room.
const FULL: &str = "too many connections, try again later";

/// For the handshake with a client that is to read it.
const REFUSAL: Duration = Duration::from_secs(5);

/// Serves one connection to its end, and logs it.
pub(crate) async fn serve(front: Arc<Front>, entry: Entry, accepted: Accepted) {
    let _permit = match accepted.admission {
        Admission::Admitted(permit) => permit,
        Admission::Refused(full) => return refuse(&front, entry, accepted.stream, full).await,
    };
    let mut record = Record::new(accepted.peer, entry);
    let mut client = Client {
        front: &front,
        peer: accepted.peer,
        deadline: Instant::now() + front.limits.login,
        record: &mut record,
    };
    let end = match client.converse(entry, accepted.stream).await {
        Ok(end) => End::Pumped(end),
        Err(end) => end,
    };
    record.end = end;
}

async fn refuse(front: &Front, entry: Entry, stream: TcpStream, full: Full) {
    let mut words = BytesMut::new();
    Reply::coded(Code::SysTemp, FULL).write(&mut words);
    if entry == Entry::StartTls {
        return full.say(stream, &words).await;
    }
    let said = timeout(REFUSAL, async {
        let mut lines = Pop3Lines::new(front.tls.accept(stream).await?, REFUSAL);
        lines.out().extend_from_slice(&words);
        lines.close().await
    });
    // Nobody is left to hear of a failure; `full` counts it until here.
    let _ = said.await;
    drop(full);
}

struct Client<'a> {
    front: &'a Front,
    peer: SocketAddr,
    /// When it must have logged in.
    deadline: Instant,
    record: &'a mut Record,
}

impl Client<'_> {
    async fn converse(&mut self, entry: Entry, tcp: TcpStream) -> Result<pump::End, End> {
        let max_failed = self.front.limits.max_failed;
        match entry {
            Entry::StartTls => {
                let state = PreAuth::new(false, max_failed);
                let (state, tcp) = self.until_tls(state, tcp).await?;
                let lines = self.handshake(tcp).await?;
                self.until_login(state, lines).await
            }
            Entry::Implicit => {
                let mut lines = self.handshake(tcp).await?;
                greet(&mut lines);
                self.until_login(PreAuth::new(true, max_failed), lines)
                    .await
            }
        }
    }

    /// In the clear, where nobody logs in.
    async fn until_tls(
        &mut self,
        state: PreAuth,
        tcp: TcpStream,
    ) -> Result<(PreAuth, TcpStream), End> {
        let mut lines = Pop3Lines::new(tcp, self.front.limits.pump.write);
        greet(&mut lines);
        match self.talk(&mut lines, state).await? {
            (state, Step::StartTls(reply)) => {
                reply.write(lines.out());
                lines.flush().await?;
                // The machine has made sure that nothing is pending; whatever came since is part
                // of the handshake.
                let (tcp, _) = lines.into_parts();
                Ok((state.encrypted(), tcp))
            }
            (_, step) => Err(close(lines, step).await),
        }
    }

    async fn handshake(&mut self, tcp: TcpStream) -> Result<Pop3Lines<TlsStream<TcpStream>>, End> {
        let accepted = timeout_at(self.deadline, self.front.tls.accept(tcp)).await;
        let tls = accepted.map_err(|_| End::Slow)?.map_err(End::Tls)?;
        Ok(Pop3Lines::new(tls, self.front.limits.pump.write))
    }

    async fn until_login(
        &mut self,
        mut state: PreAuth,
        mut lines: Pop3Lines<TlsStream<TcpStream>>,
    ) -> Result<pump::End, End> {
        loop {
            let (asking, step) = self.talk(&mut lines, state).await?;
            let Step::Login { login, password } = step else {
                return Err(close(lines, step).await);
            };
            lines.flush().await?;
            let failure = match self.login(&login, &password).await {
                Ok(admitted) => return self.hand_over(lines, admitted).await,
                Err(failure) => failure,
            };
            let (next, step) = asking.refused(failure.refusal());
            match step {
                Step::Reply(reply) => reply.write(lines.out()),
                step => return Err(close(lines, step).await),
            }
            state = next;
        }
    }

    async fn login(
        &mut self,
        login: &str,
        password: &Secret,
    ) -> Result<Admitted, crate::login::Failure> {
        let began = Instant::now();
        let gate = &self.front.gate;
        let result = gate
            .login(self.peer, &self.record.session, login, password)
            .await;
        // Our waits are not the client's.
        self.deadline += began.elapsed();
        if let Err(failure) = &result {
            self.record.failed(login, failure);
        }
        result
    }

    async fn hand_over(
        &mut self,
        mut lines: Pop3Lines<TlsStream<TcpStream>>,
        admitted: Admitted,
    ) -> Result<pump::End, End> {
        let Admitted {
            route,
            address,
            session,
            place,
        } = admitted;
        self.record.admitted(&route, address);
        Reply::ok(session.words).write(lines.out());
        lines.flush().await?;
        let (io, pending) = lines.into_parts();
        let client = Side { io, pending };
        let shard = Side {
            io: session.stream,
            pending: session.pending,
        };
        let metrics = &self.front.metrics;
        metrics.sessions.inc();
        let traffic = &mut self.record.traffic;
        let end = pump(client, shard, self.front.limits.pump, traffic).await;
        metrics.sessions.dec();
        metrics.pumped(traffic);
        drop(place);
        Ok(end)
    }

    /// Answers lines until something else than words is to be done.
    async fn talk<S>(
        &mut self,
        lines: &mut Pop3Lines<S>,
        mut state: PreAuth,
    ) -> Result<(PreAuth, Step), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            while let Some(line) = lines.buffered(state.line_cap()) {
                self.record.spoke = true;
                let (next, step) = state.line(line, !lines.input().is_empty());
                state = next;
                match step {
                    Step::Reply(reply) => reply.write(lines.out()),
                    Step::Challenge => write_challenge(lines.out()),
                    Step::Capabilities(names) => capabilities(&names, lines.out()),
                    step => return Ok((state, step)),
                }
            }
            self.listen(lines).await?;
        }
    }

    async fn listen<S>(&self, lines: &mut Pop3Lines<S>) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let read = timeout_at(self.deadline, async {
            lines.flush().await?;
            lines.fill().await
        });
        tokio::select! {
            read = read => match read.map_err(|_| End::Slow)?? {
                0 => Err(End::Left),
                _ => Ok(()),
            },
            () = self.front.shutdown.closing() => Err(End::Stopping),
        }
    }
}

fn greet<S: AsyncRead + AsyncWrite + Unpin>(lines: &mut Pop3Lines<S>) {
    Reply::ok("Buzonera").write(lines.out());
}

/// Says the last words, if there are any.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut lines: Pop3Lines<S>, step: Step) -> End {
    if let Step::Close(reply) = step {
        reply.write(lines.out());
    }
    match lines.close().await {
        Ok(()) => End::Closed,
        Err(error) => End::Lost(error),
    }
}

fn capabilities(names: &[&str], out: &mut BytesMut) {
    Reply::ok("").write(out);
    for name in names {
        out.put_slice(name.as_bytes());
        out.put_slice(b"\r\n");
    }
    write_end(out);
}
