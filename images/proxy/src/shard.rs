//! Handing a client over to its shard: connect, prove who we are, say whom we bring.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use kit::listener::KeepAlive;
use kit::net::Pop3Lines;
use kit::tls::{Credentials, server_name};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::handoff::{Handoff, SessionId};
use wire::identity::Tier;
use wire::ids::{AccountId, Epoch, ShardName};
use wire::pop3::MAX_REPLY;
use wire::pop3::command::Command;
use wire::pop3::framing::Line;
use wire::pop3::reply::{Code, Reply};
use wire::rpc;
use wire::sasl::{self, Mechanism};
use wire::secret::Secret;

/// Where an account is: a directory's answer, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) account: AccountId,
    pub(crate) epoch: Epoch,
    pub(crate) shard: ShardName,
    /// `host:port` of the shard's POP3 listener.
    pub(crate) endpoint: String,
}

impl TryFrom<rpc::Route> for Route {
    type Error = ShardError;

    fn try_from(route: rpc::Route) -> Result<Self, ShardError> {
        let bad = |what| ShardError::Route(what);
        if route.pop3_endpoint.is_empty() {
            return Err(bad("the shard has never been up"));
        }
        Ok(Self {
            account: AccountId::from_slice(&route.account).map_err(|_| bad("account"))?,
            epoch: Some(Epoch(route.epoch))
                .filter(|e| e.0 > 0)
                .ok_or(bad("epoch"))?,
            shard: route.shard.parse().map_err(|_| bad("shard"))?,
            endpoint: route.pop3_endpoint,
        })
    }
}

/// What the shard said.
pub(crate) enum Handed {
    /// The client is in; octets go to and come from here.
    Ready(Box<Session>),
    /// The account is elsewhere at this epoch.
    Moved(Epoch),
    /// The shard cannot serve it now; words for the client.
    Refused(Reply),
}

/// An open session at a shard.
pub(crate) struct Session {
    pub(crate) stream: TlsStream<TcpStream>,
    /// What the shard has already said after its `+OK`.
    pub(crate) pending: BytesMut,
    /// The text of that `+OK`.
    pub(crate) words: String,
}

/// Why a shard could not be asked; names what is at fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShardError {
    #[error("the directory's route is of no use: {0}")]
    Route(&'static str),
    #[error("cannot connect to {shard} at {endpoint}: {source}")]
    Connect {
        shard: ShardName,
        endpoint: String,
        source: io::Error,
    },
    #[error("{0} did not answer in time")]
    Slow(ShardName),
    #[error("{0} closed the connection: {1}")]
    Lost(ShardName, io::Error),
    #[error("{0} does not speak as a shard does")]
    Nonsense(ShardName),
}

/// Connects to shards.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    credentials: Credentials,
    keep_alive: KeepAlive,
    patience: Duration,
}

impl Shards {
    /// `patience` bounds a handover as a whole.
    pub(crate) fn new(credentials: Credentials, patience: Duration, keep_alive: KeepAlive) -> Self {
        Self {
            credentials,
            keep_alive,
            patience,
        }
    }

    /// Hands a client over.
    pub(crate) async fn hand_over(
        &self,
        route: &Route,
        client: std::net::SocketAddr,
        session: &SessionId,
    ) -> Result<Handed, ShardError> {
        let handoff = Handoff {
            account: route.account,
            epoch: route.epoch,
            client,
            session: session.clone(),
        };
        timeout(self.patience, self.ask(route, &handoff))
            .await
            .unwrap_or_else(|_| Err(ShardError::Slow(route.shard.clone())))
    }

    async fn ask(&self, route: &Route, handoff: &Handoff) -> Result<Handed, ShardError> {
        let stream = self
            .connect(route)
            .await
            .map_err(|source| ShardError::Connect {
                shard: route.shard.clone(),
                endpoint: route.endpoint.clone(),
                source,
            })?;
        let mut lines = Pop3Lines::new(stream, self.patience);
        let greeting = reply(&mut lines, route).await?;
        if !greeting.ok {
            return Ok(Handed::Refused(greeting));
        }
        lines.out().extend_from_slice(external(handoff).expose());
        lines
            .flush()
            .await
            .map_err(|error| ShardError::Lost(route.shard.clone(), error))?;
        let answer = reply(&mut lines, route).await?;
        Ok(match answer.code {
            _ if answer.ok => {
                let (stream, pending) = lines.into_parts();
                Handed::Ready(Box::new(Session {
                    stream,
                    pending,
                    words: answer.text,
                }))
            }
            Some(Code::Moved(epoch)) => Handed::Moved(Epoch(epoch)),
            _ => Handed::Refused(answer),
        })
    }

    /// The peer must be that very shard, so that a stale route reaches nobody else.
    async fn connect(&self, route: &Route) -> io::Result<TlsStream<TcpStream>> {
        let expect = self
            .credentials
            .peer(Tier::Storage, route.shard.as_str())
            .map_err(io::Error::other)?;
        let stream = TcpStream::connect(&route.endpoint).await?;
        self.keep_alive.apply(&stream)?;
        let config = self.credentials.client_config(&expect);
        TlsConnector::from(config)
            .connect(server_name(), stream)
            .await
    }
}

fn external(handoff: &Handoff) -> Secret {
    let command = Command::Auth {
        mechanism: Mechanism::External.as_str().to_owned(),
        initial: Some(Secret::new(sasl::encode(handoff.to_string().as_bytes()))),
    };
    command.to_line()
}

async fn reply(
    lines: &mut Pop3Lines<TlsStream<TcpStream>>,
    route: &Route,
) -> Result<Reply, ShardError> {
    loop {
        match lines.buffered(MAX_REPLY) {
            Some(Line::Whole(line)) => {
                let nonsense = || ShardError::Nonsense(route.shard.clone());
                return Reply::parse(&line).ok_or_else(nonsense);
            }
            Some(Line::TooLong) => return Err(ShardError::Nonsense(route.shard.clone())),
            None => {}
        }
        let lost = |error| ShardError::Lost(route.shard.clone(), error);
        if lines.fill().await.map_err(lost)? == 0 {
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_checked() {
        let good = rpc::Route {
            account: AccountId::random().to_field(),
            shard: "shard-1".to_owned(),
            epoch: 1,
            rpc_endpoint: String::new(),
            pop3_endpoint: "127.0.0.1:1".to_owned(),
        };
        assert!(Route::try_from(good.clone()).is_ok());
        for bad in [
            rpc::Route {
                account: b"short".to_vec().into(),
                ..good.clone()
            },
            rpc::Route {
                shard: "Not A Label".to_owned(),
                ..good.clone()
            },
            rpc::Route {
                epoch: 0,
                ..good.clone()
            },
            rpc::Route {
                pop3_endpoint: String::new(),
                ..good
            },
        ] {
            assert!(Route::try_from(bad).is_err());
        }
    }
}
