//! Octets both ways between a client and its shard, unread.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use kit::net::{read_away, within};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};

/// What each direction holds at most. Two of them and TLS make some 100 KB a session.
const BUFFER: usize = 16 << 10;

/// How long a pump waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For any octet in either direction.
    pub(crate) idle: Duration,
    /// For a side to accept octets.
    pub(crate) write: Duration,
}

/// Octets that were accepted by the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) from_client: u64,
    pub(crate) to_client: u64,
}

/// Who ended it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The shard closed, as it does after QUIT.
    #[error("closed")]
    Shard,
    #[error("idle")]
    Idle,
    #[error("client lost: {0}")]
    ClientLost(io::Error),
    #[error("shard lost: {0}")]
    ShardLost(io::Error),
}

/// One side of a pump: the connection, and what has already come from it.
pub(crate) struct Side<S> {
    pub(crate) io: S,
    pub(crate) pending: BytesMut,
}

/// Pumps until a side ends it. A client that only says it has no more commands still gets its
/// answers: its end is passed on, and the shard closes when it has answered. `traffic` is counted as
/// it goes.
pub(crate) async fn pump<C, S>(
    client: Side<C>,
    shard: Side<S>,
    limits: Limits,
    traffic: &mut Traffic,
) -> End
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (client_reads, mut client_writes) = split(client.io);
    let (shard_reads, mut shard_writes) = split(shard.io);
    let last = Last::now();
    let Traffic {
        from_client,
        to_client,
    } = traffic;
    let mut up = Half::new(
        client_reads,
        client.pending,
        &last,
        limits.write,
        from_client,
    );
    let mut down = Half::new(shard_reads, shard.pending, &last, limits.write, to_client);
    let end = {
        let both = both(up.copy(&mut shard_writes), down.copy(&mut client_writes));
        tokio::select! {
            end = both => end,
            () = idle(&last, limits.idle) => End::Idle,
        }
    };
    if matches!(end, End::Shard) {
        read_away(&mut up.reader).await;
    }
    end
}

/// Until the shard has closed, or something breaks.
async fn both(
    up: impl Future<Output = Result<(), Failure>>,
    down: impl Future<Output = Result<(), Failure>>,
) -> End {
    let down_end = |down| match down {
        Ok(()) => End::Shard,
        Err(Failure::Read(error)) => End::ShardLost(error),
        Err(Failure::Write(error)) => End::ClientLost(error),
    };
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut down => return down_end(ended),
        ended = &mut up => match ended {
            Ok(()) => {}
            Err(Failure::Read(error)) => return End::ClientLost(error),
            // A shard that has closed has perhaps said why: that is still to be passed on.
            Err(Failure::Write(_)) => {}
        },
    }
    down_end(down.await)
}

/// When an octet last went through.
struct Last(Mutex<Instant>);

impl Last {
    fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn get(&self) -> Instant {
        *self.0.lock()
    }

    fn touch(&self) {
        *self.0.lock() = Instant::now();
    }
}

async fn idle(last: &Last, limit: Duration) {
    loop {
        let until = last.get() + limit;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
}

/// One direction.
struct Half<'a, R> {
    reader: R,
    buffer: BytesMut,
    last: &'a Last,
    patience: Duration,
    octets: &'a mut u64,
}

impl<'a, R: AsyncRead + Unpin> Half<'a, R> {
    fn new(
        reader: R,
        buffer: BytesMut,
        last: &'a Last,
        patience: Duration,
        octets: &'a mut u64,
    ) -> Self {
        Self {
            reader,
            buffer,
            last,
            patience,
            octets,
        }
    }

    async fn copy<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> Result<(), Failure> {
        loop {
            self.send(writer).await.map_err(Failure::Write)?;
            if self.read().await.map_err(Failure::Read)? == 0 {
                return writer.shutdown().await.map_err(Failure::Write);
            }
            self.last.touch();
        }
    }

    async fn send<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<()> {
        while !self.buffer.is_empty() {
            let written = within(self.patience, writer.write_buf(&mut self.buffer)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *self.octets += written as u64;
            self.last.touch();
        }
        within(self.patience, writer.flush()).await
    }

    /// Reads once into the empty buffer; 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(BUFFER);
        let read = (&mut self.reader)
            .take(BUFFER as u64)
            .read_buf(&mut self.buffer)
            .await;
        match read {
            // Many mail clients close without TLS's word for it. Commands end with their line, so
            // nothing can be cut off unseen.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: Limits = Limits {
        idle: Duration::from_secs(60),
        write: Duration::from_secs(60),
    };

    type Pumped = JoinHandle<(Traffic, End)>;

    /// The client's end, the shard's end, and the pump between them.
    fn start(pending: &str, limits: Limits) -> (DuplexStream, DuplexStream, Pumped) {
        let (client, client_side) = duplex(64);
        let (shard, shard_side) = duplex(64);
        let client_side = Side {
            io: client_side,
            pending: BytesMut::from(pending),
        };
        let shard_side = Side {
            io: shard_side,
            pending: BytesMut::new(),
        };
        let pumped = tokio::spawn(async move {
            let mut traffic = Traffic::default();
            let end = pump(client_side, shard_side, limits, &mut traffic).await;
            (traffic, end)
        });
        (client, shard, pumped)
    }

    #[tokio::test]
    async fn octets_go_both_ways_pending_ones_first() {
        let (mut client, mut shard, pumped) = start("STAT\r\n", LIMITS);
        client.write_all(b"QUIT\r\n").await.unwrap();
        let mut commands = [0; 12];
        shard.read_exact(&mut commands).await.unwrap();
        assert_eq!(&commands, b"STAT\r\nQUIT\r\n");
        shard.write_all(b"+OK 0 0\r\n+OK bye\r\n").await.unwrap();
        drop(shard);
        let mut replies = String::new();
        client.read_to_string(&mut replies).await.unwrap();
        assert_eq!(replies, "+OK 0 0\r\n+OK bye\r\n");
        drop(client);
        let (traffic, end) = pumped.await.unwrap();
        assert_eq!(
            traffic,
            Traffic {
                from_client: 12,
                to_client: 18
            }
        );
        assert!(matches!(end, End::Shard), "{end}");
    }

    #[tokio::test]
    async fn more_than_any_buffer_holds() {
        let (mut client, mut shard, pumped) = start("", LIMITS);
        let sent = vec![b'x'; 300_000];
        let expected = sent.clone();
        let writes = tokio::spawn(async move {
            shard.write_all(&sent).await.unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        writes.await.unwrap();
        assert!(got == expected);
        drop(client);
        assert_eq!(pumped.await.unwrap().0.to_client, 300_000);
    }

    #[tokio::test]
    async fn a_half_closed_client_still_gets_its_answers() {
        let (mut client, mut shard, pumped) = start("", LIMITS);
        client.write_all(b"QUIT\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut commands = String::new();
        shard.read_to_string(&mut commands).await.unwrap();
        assert_eq!(commands, "QUIT\r\n");
        shard.write_all(b"+OK bye\r\n").await.unwrap();
        drop(shard);
        let mut replies = String::new();
        client.read_to_string(&mut replies).await.unwrap();
        assert_eq!(replies, "+OK bye\r\n");
        assert!(matches!(pumped.await.unwrap().1, End::Shard));
    }

    #[tokio::test]
    async fn a_client_that_vanishes_ends_the_shards_session() {
        let (client, mut shard, pumped) = start("", LIMITS);
        drop(client);
        assert_eq!(shard.read(&mut [0; 8]).await.unwrap(), 0);
        drop(shard);
        pumped.await.unwrap();
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let idle = Duration::from_millis(50);
        let (_client, _shard, pumped) = start("", Limits { idle, ..LIMITS });
        assert!(matches!(pumped.await.unwrap().1, End::Idle));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_ends_it() {
        let write = Duration::from_millis(50);
        let (_client, mut shard, pumped) = start("", Limits { write, ..LIMITS });
        shard.write_all(&[b'x'; 64]).await.unwrap();
        shard.write_all(&[b'x'; 64]).await.unwrap();
        shard.write_all(&[b'x'; 64]).await.unwrap();
        assert!(matches!(pumped.await.unwrap().1, End::ClientLost(_)));
    }
}
