//! What is committed after a revision, as it happens.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::MAX_MESSAGE;
use super::convert::{Prefix, number, revision};
use super::endpoints::{Connection, Endpoints, with_leader};
use super::proto::event::EventType;
use super::proto::watch_client::WatchClient;
use super::proto::watch_request::RequestUnion;
use super::proto::{Event, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use super::status;
use crate::store::{Change, Changes, Error, Revision};

/// Transactions that wait for a slow reader; beyond them etcd waits, by flow control.
const QUEUE: usize = 256;

/// One watch, which runs in a task of its own until its reader is gone.
pub(super) struct Watcher {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) prefix: Prefix,
    /// The newest revision that a reader of this store knows to exist.
    pub(super) wanted: watch::Receiver<Revision>,
    /// Everything up to this was delivered.
    pub(super) reached: Revision,
}

/// An open watch at etcd.
struct Open {
    requests: mpsc::Sender<WatchRequest>,
    replies: Streaming<WatchResponse>,
    /// The newest revision that progress was asked for, and when.
    asked: (Revision, Instant),
    /// Since when it has been behind.
    behind_since: Option<Instant>,
}

type Reader = mpsc::Sender<Result<Changes, Error>>;

impl Watcher {
    pub(super) fn start(self) -> BoxStream<'static, Result<Changes, Error>> {
        let (reader, changes) = mpsc::channel(QUEUE);
        tokio::spawn(self.run(reader));
        ReceiverStream::new(changes).boxed()
    }

    async fn run(mut self, reader: Reader) {
        let connection = match self.endpoints.connection() {
            Ok(connection) => connection,
            Err(error) => return drop(reader.send(Err(error)).await),
        };
        let Err(error) = self.follow(&connection, &reader).await else {
            return;
        };
        if error.is_temporary() {
            self.endpoints.pass_over(&connection);
        }
        // A reader that is gone needs no reason.
        let _ = reader.send(Err(error)).await;
    }

    /// Ends with the reason, or without when the reader is gone.
    async fn follow(&mut self, connection: &Connection, reader: &Reader) -> Result<(), Error> {
        let limit = self.endpoints.options().read_timeout;
        let late = |_| Error::Unavailable(format!("no watch within {limit:?}"));
        let mut open = timeout(limit, self.open(connection))
            .await
            .map_err(late)??;
        loop {
            let pause = self.ask_progress(&mut open)?;
            tokio::select! {
                () = reader.closed() => return Ok(()),
                reply = open.replies.message() => {
                    let reply = reply.map_err(|status| status::read_error(&status))?;
                    let ended = || Error::Unavailable("etcd ended the watch".to_owned());
                    for changes in self.read(reply.ok_or_else(ended)?)? {
                        if reader.send(Ok(changes)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                // An error means that the store is gone; the reader may still read on.
                _ = self.wanted.changed(), if self.wanted.has_changed().is_ok() => {}
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    async fn open(&self, connection: &Connection) -> Result<Open, Error> {
        let (requests, outgoing) = mpsc::channel(4);
        let create = RequestUnion::CreateRequest(WatchCreateRequest {
            key: self.prefix.outer(""),
            range_end: self.prefix.end(),
            start_revision: number(self.reached).saturating_add(1),
        });
        send(&requests, create)?;
        let mut client =
            WatchClient::new(connection.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let stream = client
            .watch(with_leader(ReceiverStream::new(outgoing)))
            .await;
        Ok(Open {
            requests,
            replies: stream
                .map_err(|status| status::read_error(&status))?
                .into_inner(),
            asked: (Revision(0), Instant::now()),
            behind_since: None,
        })
    }

    /// When the watch is behind what is known to exist, asks where it is; etcd answers only a watch
    /// that has caught up, so it is asked again after the pause that is returned.
    fn ask_progress(&mut self, open: &mut Open) -> Result<Option<Duration>, Error> {
        let wanted = *self.wanted.borrow_and_update();
        if wanted <= self.reached {
            open.behind_since = None;
            return Ok(None);
        }
        let now = Instant::now();
        let options = self.endpoints.options();
        if now - *open.behind_since.get_or_insert(now) > options.stall_timeout {
            let text = format!("the watch stays at {:?}, behind {wanted:?}", self.reached);
            return Err(Error::Unavailable(text));
        }
        if wanted > open.asked.0 || now - open.asked.1 >= options.progress_interval {
            open.asked = (wanted, now);
            let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
            send(&open.requests, progress)?;
        }
        Ok(Some(options.progress_interval))
    }

    /// One reply: whole transactions in order, or how far there were none.
    fn read(&mut self, reply: WatchResponse) -> Result<Vec<Changes>, Error> {
        if reply.compact_revision > 0 {
            return Err(Error::Compacted(self.reached));
        }
        if reply.canceled {
            return Err(Error::Unavailable(reply.cancel_reason));
        }
        if reply.created {
            return Ok(Vec::new());
        }
        let mut read = Vec::new();
        if reply.events.is_empty() {
            // While a watch catches up, a header may be ahead of the events beside it; without
            // events it says how far the watch is.
            let header = reply.header.unwrap_or_default();
            self.advance(revision(header.revision), &mut read);
        }
        for event in reply.events {
            self.event(event, &mut read)?;
        }
        Ok(read)
    }

    fn advance(&mut self, to: Revision, read: &mut Vec<Changes>) {
        if to > self.reached {
            self.reached = to;
            let changes = Vec::new();
            read.push(Changes {
                revision: to,
                changes,
            });
        }
    }

    fn event(&mut self, event: Event, read: &mut Vec<Changes>) -> Result<(), Error> {
        let deleted = event.r#type() == EventType::Delete;
        let pair = event.kv.unwrap_or_default();
        self.advance(revision(pair.mod_revision), read);
        let change = Change {
            key: self.prefix.inner(&pair.key)?,
            value: (!deleted).then_some(pair.value),
        };
        match read.last_mut() {
            Some(last) if last.revision == revision(pair.mod_revision) => {
                last.changes.push(change);
                Ok(())
            }
            _ => Err(Error::Failed("etcd's watch went backwards".to_owned())),
        }
    }
}

/// Never waits: one that finds the queue full is one of several that ask the same.
fn send(requests: &mpsc::Sender<WatchRequest>, union: RequestUnion) -> Result<(), Error> {
    let request = WatchRequest {
        request_union: Some(union),
    };
    match requests.try_send(request) {
        Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
        Err(TrySendError::Closed(_)) => Err(Error::Unavailable("etcd ended the watch".to_owned())),
    }
}
