//! The body of a reply, with errors that name who sent it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tonic::Status;

/// A reply on its way; a connection that breaks in the middle is UNAVAILABLE.
pub(super) struct Reply {
    pub(super) inner: Incoming,
    pub(super) from: Arc<str>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        frame.map_err(|error| broken(&self.from, &error))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The connection broke after the request was sent: whether it was carried out is unknown.
pub(super) fn broken(from: &str, error: &hyper::Error) -> Status {
    let mut reasons = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        reasons = format!("{reasons}: {reason}");
        source = reason.source();
    }
    Status::unavailable(format!("lost the connection to {from}: {reasons}"))
}
