//! A way to the API server on which what is followed can be old: watches keep back what is new, or show
//! nothing at all, while all other requests are answered as ever.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, try_unfold};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

/// What is shown of what is followed.
#[derive(Clone)]
enum Shown {
    Everything,
    /// Of these objects nothing, from the first event on that is so.
    Until(&'static str, Arc<dyn Fn(&Value) -> bool + Send + Sync>),
    /// These objects alone: of all others there seem to be none.
    Only(&'static str),
}

/// The watches of a client. Objects are named as in a path: `mailclusters`.
#[derive(Clone)]
pub(crate) struct Watches {
    shown: Arc<watch::Sender<Shown>>,
}

impl Watches {
    /// Everything is shown.
    pub(crate) fn new() -> Self {
        Self::showing(Shown::Everything)
    }

    /// Only these objects are shown.
    pub(crate) fn only(resource: &'static str) -> Self {
        Self::showing(Shown::Only(resource))
    }

    fn showing(shown: Shown) -> Self {
        Self {
            shown: Arc::new(watch::Sender::new(shown)),
        }
    }

    /// Nothing is shown of these objects any more from the first event on that is so.
    pub(crate) fn hold(
        &self,
        resource: &'static str,
        is_so: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) {
        let until = Shown::Until(resource, Arc::new(is_so));
        self.shown.send_replace(until);
    }

    /// Everything is shown, and what was kept back.
    pub(crate) fn go_on(&self) {
        self.shown.send_replace(Shown::Everything);
    }
}

impl<S> Layer<S> for Watches {
    type Service = Behind<S>;

    fn layer(&self, inner: S) -> Behind<S> {
        Behind {
            inner,
            shown: self.shown.subscribe(),
        }
    }
}

/// Hands requests on, and keeps back what watches are told.
#[derive(Clone)]
pub(crate) struct Behind<S> {
    inner: S,
    shown: watch::Receiver<Shown>,
}

type Octets = UnsyncBoxBody<Bytes, BoxError>;

impl<S, B> Service<Request<Body>> for Behind<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Octets>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Octets>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (asks, resource) = asked(&request);
        let mut shown = self.shown.clone();
        let hides = is_hidden(&shown.borrow(), &resource);
        if asks == Asks::ToFollow && hides {
            return Box::pin(async move {
                shown.wait_for(|it| !is_hidden(it, &resource)).await?;
                Ok(Response::new(whole(expired())))
            });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            Ok(match asks {
                Asks::ToFollow => answer.map(|body| kept_back(body, resource, shown)),
                Asks::WhatIsThere if hides => {
                    let (head, body) = answer.into_parts();
                    let body = body.collect().await.map_err(Into::into)?.to_bytes();
                    let mut list: Value = serde_json::from_slice(&body)?;
                    list["items"] = json!([]);
                    Response::from_parts(head, whole(list))
                }
                Asks::WhatIsThere | Asks::SomethingElse => answer.map(boxed),
            })
        })
    }
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// A watch.
    ToFollow,
    /// The list that a watch begins with: no other list comes in pages.
    WhatIsThere,
    SomethingElse,
}

fn asked(request: &Request<Body>) -> (Asks, String) {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        query
            .split('&')
            .any(|it| it.split('=').next() == Some(name))
    };
    let asks = match (has("watch"), has("limit")) {
        (true, _) => Asks::ToFollow,
        (false, true) => Asks::WhatIsThere,
        (false, false) => Asks::SomethingElse,
    };
    let resource = request.uri().path().rsplit('/').next();
    (asks, resource.unwrap_or_default().to_owned())
}

fn is_hidden(shown: &Shown, of: &str) -> bool {
    match shown {
        Shown::Only(resource) => *resource != of,
        Shown::Everything | Shown::Until(..) => false,
    }
}

/// A watch that has been silent for too long: whoever follows has to list everything anew.
fn expired() -> Value {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version"});
    json!({"type": "ERROR", "object": status})
}

fn whole(value: Value) -> Octets {
    boxed(Full::new(Bytes::from(format!("{value}\n"))))
}

fn boxed<B>(body: B) -> Octets
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A watch, one event a line; nothing of it comes before its time.
fn kept_back<B>(body: B, resource: String, shown: watch::Receiver<Shown>) -> Octets
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let events = Events {
        body: body.into_data_stream().map_err(Into::into).boxed(),
        read: BytesMut::new(),
        resource,
        shown,
    };
    let events = try_unfold(events, |mut events| async move {
        let event = events.next().await?;
        Ok::<_, BoxError>(event.map(|event| (Frame::data(event), events)))
    });
    boxed(StreamBody::new(events))
}

struct Events {
    body: BoxStream<'static, Result<Bytes, BoxError>>,
    read: BytesMut,
    resource: String,
    shown: watch::Receiver<Shown>,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            if let Some(end) = self.read.iter().position(|octet| *octet == b'\n') {
                let event = self.read.split_to(end + 1).freeze();
                self.may_be_shown(serde_json::from_slice(&event)?).await?;
                return Ok(Some(event));
            }
            match self.body.next().await.transpose()? {
                Some(more) => self.read.extend_from_slice(&more),
                None => return Ok(None),
            }
        }
    }

    async fn may_be_shown(&mut self, event: Value) -> Result<(), BoxError> {
        let resource = &self.resource;
        let is_kept_back = |shown: &Shown| match shown {
            Shown::Until(of, is_so) => of == resource && is_so(&event),
            Shown::Everything | Shown::Only(_) => false,
        };
        self.shown.wait_for(|shown| !is_kept_back(shown)).await?;
        Ok(())
    }
}
