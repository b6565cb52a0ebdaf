//! One connection: greeting, conversation, STARTTLS, farewell.

mod conversation;
mod intake;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use ::wire::smtp::Reply;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::session::{Protocol, Session};
use crate::shared::Server;
use conversation::{Conversation, Ended};
use stream::{Broken, Stream};

/// Who is connected, and for how long at most.
#[derive(Debug, Clone, Copy)]
struct Client {
    peer: SocketAddr,
    until: Instant,
}

/// Serves a connection from its greeting to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    protocol: Protocol,
    peer: SocketAddr,
    on: TcpStream,
) {
    let until = Instant::now() + server.timeouts.session;
    let client = Client { peer, until };
    let ended = match (protocol, &server.lmtp_tls) {
        (Protocol::Lmtp, Some(tls)) => {
            over_tls(
                &server,
                Session::for_tls(server.policy.clone(), protocol),
                client,
                on,
                tls.acceptor(),
            )
            .await
        }
        _ => plain(&server, protocol, client, on).await,
    };
    match ended {
        Ok(()) | Err(Broken::Eof) => {}
        Err(error) => tracing::debug!(%peer, protocol = protocol.as_str(), %error, "session broke"),
    }
}

async fn plain(
    server: &Arc<Server>,
    protocol: Protocol,
    client: Client,
    stream: TcpStream,
) -> Result<(), Broken> {
    let session = Session::new(server.policy.clone(), protocol, server.public_tls.is_some());
    let mut wire = Stream::new(stream, server.timeouts.clone(), client.until);
    if server.door.is_cordoned() {
        turn_away(&mut wire).await;
        return Ok(());
    }
    wire.say(&session.greeting());
    let session = match converse(server, &mut wire, session, client.peer).await? {
        Ended::Closed => return Ok(()),
        Ended::StartTls(session) => session,
    };
    let Some(tls) = &server.public_tls else {
        return Ok(());
    };
    // What was read before the handshake is gone with the wire: nobody may put words in front of
    // the encrypted ones (RFC 3207 section 4.2, RFC 9325 section 3).
    let stream = wire.into_stream();
    let acceptor = TlsAcceptor::from(tls.server_config());
    let stream = handshake(server, acceptor, stream).await?;
    let mut wire = Stream::new(stream, server.timeouts.clone(), client.until);
    converse(server, &mut wire, session.tls_started(), client.peer)
        .await
        .map(drop)
}

/// TLS from the first octet: LMTP from other machines.
async fn over_tls(
    server: &Arc<Server>,
    session: Session,
    client: Client,
    stream: TcpStream,
    acceptor: TlsAcceptor,
) -> Result<(), Broken> {
    let stream = handshake(server, acceptor, stream).await?;
    let mut wire = Stream::new(stream, server.timeouts.clone(), client.until);
    if server.door.is_cordoned() {
        turn_away(&mut wire).await;
        return Ok(());
    }
    wire.say(&session.greeting());
    converse(server, &mut wire, session, client.peer)
        .await
        .map(drop)
}

/// Instead of a greeting (RFC 5321 section 3.8).
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Stream<S>) {
    wire.say(&Reply::new(
        421,
        3,
        2,
        "no more mail here, try another server",
    ));
    wire.close().await;
}

async fn handshake(
    server: &Server,
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, Broken> {
    let accepted = timeout(server.timeouts.handshake, acceptor.accept(stream)).await;
    accepted.map_err(|_| Broken::Timeout)?.map_err(Broken::Io)
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Arc<Server>,
    wire: &mut Stream<S>,
    session: Session,
    peer: SocketAddr,
) -> Result<Ended, Broken> {
    let ended = Conversation::new(server, wire, peer).run(session).await;
    match &ended {
        Ok(Ended::Closed) => wire.close().await,
        Err(Broken::Timeout) => {
            wire.say(&Reply::new(421, 4, 2, "you were silent for too long"));
            wire.close().await;
        }
        Err(Broken::Overdue) => {
            wire.say(&Reply::new(421, 4, 2, "the session took too long"));
            wire.close().await;
        }
        Ok(Ended::StartTls(_)) | Err(_) => {}
    }
    ended
}
