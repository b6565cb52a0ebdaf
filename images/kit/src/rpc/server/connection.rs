//! A connection whose holder is known, as the HTTP/2 server reads and writes it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::lifecycle::{Guard, Shutdown};
use crate::listener::Permit;
use crate::rpc::Caller;

/// Holds its place in the listener and keeps the process up as long as it lives, and fails once it
/// is cut.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    caller: Caller,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_cut: bool,
    _guard: Guard,
    _permit: Permit,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        caller: Caller,
        shutdown: &Shutdown,
        permit: Permit,
    ) -> Self {
        let guard = shutdown.guard("RPC connections");
        let shutdown = shutdown.clone();
        Self {
            stream,
            caller,
            cut: Box::pin(async move { shutdown.cut().await }),
            is_cut: false,
            _guard: guard,
            _permit: permit,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl Connection {
    /// What is ready goes through; what waits for the peer fails once it is cut.
    fn unless_cut<T>(
        &mut self,
        cx: &mut Context<'_>,
        io: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if io.is_pending() && !self.is_cut {
            self.is_cut = self.cut.as_mut().poll(cx).is_ready();
        }
        match io.is_pending() && self.is_cut {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => io,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.unless_cut(cx, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_cut(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_cut(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_cut(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_cut(cx, closed)
    }
}
