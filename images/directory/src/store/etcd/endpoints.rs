//! The connection to one of etcd's members, and the change to another when it fails.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use kit::tls::IdentityFiles;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};

use super::options::Options;
use super::status;
use crate::store::Error;

/// Pause before a call is tried at the next member, so that a cluster that is away is not hammered.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A connection that shows no life for this long is closed: a member's machine is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Flow-control window: pages of a load are some 30 MB.
const WINDOW: u32 = 8 * 1024 * 1024;

/// Every member, and the one in use.
#[derive(Debug)]
pub(super) struct Endpoints {
    options: Options,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    /// Counts the changes; the member is this modulo their number.
    turn: usize,
    channel: Option<Channel>,
}

/// A connection, and the turn in which it was in use.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) channel: Channel,
    turn: usize,
}

impl Endpoints {
    pub(super) fn new(options: Options) -> Result<Arc<Self>, Error> {
        if options.endpoints.is_empty() || options.prefix.is_empty() {
            let text = "etcd needs at least one endpoint, and a prefix for its keys";
            return Err(Error::Failed(text.to_owned()));
        }
        let endpoints = Self {
            options,
            current: Mutex::new(Current {
                turn: 0,
                channel: None,
            }),
        };
        for turn in 0..endpoints.options.endpoints.len() {
            endpoints.connect(turn)?;
        }
        Ok(Arc::new(endpoints))
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The connection in use; it is made at the first request.
    pub(super) fn connection(&self) -> Result<Connection, Error> {
        let mut current = self.current.lock();
        let turn = current.turn;
        let channel = match &current.channel {
            Some(channel) => channel.clone(),
            None => self.connect(turn)?,
        };
        current.channel = Some(channel.clone());
        Ok(Connection { channel, turn })
    }

    /// As [`Self::connection`], and tries again while the TLS files do not fit together: they are
    /// renewed one after the other.
    async fn connected(&self, deadline: Instant) -> Result<Connection, Error> {
        loop {
            match self.connection() {
                Err(Error::Unavailable(_)) if Instant::now() + RETRY_PAUSE < deadline => {
                    sleep(RETRY_PAUSE).await;
                }
                connection => return connection,
            }
        }
    }

    /// `failed` did not answer: the next member's turn, unless another caller was faster.
    pub(super) fn pass_over(&self, failed: &Connection) {
        let mut current = self.current.lock();
        if current.turn == failed.turn {
            current.turn = failed.turn.wrapping_add(1);
            current.channel = None;
        }
    }

    /// Reads: asks one member, and the next one too whenever one fails or takes longer than
    /// `patience`; the first answer counts. Whoever is slow is still listened to: where every disk is
    /// slow, an answer that is given up shortly before it comes never comes.
    pub(super) async fn read<T, F>(
        &self,
        patience: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = self.options.read_timeout.max(patience);
        let deadline = Instant::now() + limit;
        let mut last = Error::Unavailable(format!("no answer within {limit:?}"));
        let mut asked = FuturesUnordered::new();
        loop {
            let connection = self.connected(deadline).await?;
            let asking = connection.clone();
            let answer = call(connection.channel.clone());
            asked.push(answer.map(|answer| (asking, answer)));
            let patient_until = (Instant::now() + patience).min(deadline);
            match timeout_at(patient_until, asked.next()).await {
                Ok(Some((_, Ok(response)))) => return Ok(response.into_inner()),
                Ok(Some((failed, Err(status)))) => {
                    last = status::read_error(&status);
                    if !last.is_temporary() {
                        return Err(last);
                    }
                    self.pass_over(&failed);
                    sleep(RETRY_PAUSE).await;
                }
                Ok(None) | Err(_) => self.pass_over(&connection),
            }
            if Instant::now() >= deadline {
                return Err(last);
            }
        }
    }

    /// Writes: sent again only when the request cannot have left this machine.
    pub(super) async fn write<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.options.write_timeout;
        loop {
            let connection = self.connected(deadline).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match timeout(left, call(connection.channel.clone())).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status::write_error(&status),
                Err(_) => Error::Unknown(format!("no answer within {left:?}")),
            };
            // A full store is full at every member.
            if !error.is_temporary() || matches!(error, Error::Full(_)) {
                return Err(error);
            }
            self.pass_over(&connection);
            let again = matches!(error, Error::Unavailable(_));
            if !again || Instant::now() + RETRY_PAUSE >= deadline {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// A new lazy connection to the member whose turn it is, with the TLS files as they are now.
    fn connect(&self, turn: usize) -> Result<Channel, Error> {
        let address = &self.options.endpoints[turn % self.options.endpoints.len()];
        let failed = |error: &dyn std::error::Error| {
            Error::Failed(format!("etcd's endpoint {address:?}: {error}"))
        };
        let mut endpoint = Endpoint::from_shared(address.clone())
            .map_err(|error| failed(&error))?
            .connect_timeout(self.options.connect_timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .tcp_nodelay(true);
        if let Some(files) = &self.options.tls {
            let tls = client_tls(files)?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| Error::Unavailable(failed(&error).to_string()))?;
        }
        Ok(endpoint.connect_lazy())
    }
}

/// A request that etcd refuses when its member knows no leader, instead of letting it hang.
pub(super) fn with_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = tonic::metadata::MetadataValue::from_static("true");
    request.metadata_mut().insert("hasleader", value);
    request
}

fn client_tls(files: &IdentityFiles) -> Result<ClientTlsConfig, Error> {
    let identity = Identity::from_pem(read(&files.cert)?, read(&files.key)?);
    let authority = Certificate::from_pem(read(&files.ca)?);
    Ok(ClientTlsConfig::new()
        .ca_certificate(authority)
        .identity(identity))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))
}
