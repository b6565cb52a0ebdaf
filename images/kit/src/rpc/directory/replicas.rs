//! The replicas of the directory: which one to ask first, and which one to avoid for now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::time::{timeout, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::{Code, Status};
use wire::answer::Answer;
use wire::identity::Tier;
use wire::rpc::{ResolveAnswer, ResolveRequest};

use super::replica::{BadReplica, Replica};
use super::{DirectoryOptions, hedge};
use crate::rpc::channel::{Channel, channel};
use crate::rpc::connect::unsent;
use crate::rpc::deadline;
use crate::services::directory_client::DirectoryClient;
use crate::tls::Credentials;

/// All replicas, and whose turn it is.
#[derive(Debug)]
pub(super) struct Replicas {
    all: RwLock<Vec<Arc<Known>>>,
    credentials: Credentials,
    options: DirectoryOptions,
    turn: AtomicUsize,
}

/// One replica and how it has been.
#[derive(Debug)]
pub(super) struct Known {
    configured: Replica,
    channel: Channel,
    avoid: Duration,
    avoided_until: Mutex<Option<Instant>>,
}

impl Replicas {
    pub(super) fn new(
        replicas: &[Replica],
        credentials: &Credentials,
        options: &DirectoryOptions,
    ) -> Result<Self, BadReplica> {
        let this = Self {
            all: RwLock::default(),
            credentials: credentials.clone(),
            options: options.clone(),
            turn: AtomicUsize::new(0),
        };
        this.replace(replicas)?;
        Ok(this)
    }

    /// Asks these from now on; those that were known keep connection and reputation, and what was
    /// asked of one that is not listed any more is still answered.
    pub(super) fn replace(&self, replicas: &[Replica]) -> Result<(), BadReplica> {
        let known = self.all.read().clone();
        let kept = |replica: &Replica| known.iter().find(|known| known.configured == *replica);
        let all: Result<Vec<_>, _> = replicas
            .iter()
            .map(|replica| match kept(replica) {
                Some(known) => Ok(known.clone()),
                None => Known::new(replica, &self.credentials, &self.options).map(Arc::new),
            })
            .collect();
        let all = all?;
        if all.is_empty() {
            return Err(BadReplica::None);
        }
        *self.all.write() = all;
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.read().len()
    }

    /// All, best first, beginning with another one each time: questions are spread.
    pub(super) fn in_turn(&self) -> Vec<Arc<Known>> {
        self.from(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// Those to avoid come last, those not connected before them; the others in the list's order.
    fn from(&self, start: usize) -> Vec<Arc<Known>> {
        let mut replicas = self.all.read().clone();
        let length = replicas.len();
        replicas.rotate_left(start % length);
        for replica in &replicas {
            replica.channel.warm_up();
        }
        replicas
            .sort_by_cached_key(|replica| (replica.is_avoided(), !replica.channel.is_connected()));
        replicas
    }

    /// The first of these replicas to have a standing connection.
    async fn connected(&self, order: Vec<Arc<Known>>) -> Result<Arc<Known>, Status> {
        let attempts = order.into_iter().map(|replica| async move {
            let connected = replica.channel.connect().await;
            connected.map(|()| replica)
        });
        let connected = hedge::first(attempts, self.options.fail_over).await;
        connected.map_err(|error| match error {
            Some(error) => unsent(error),
            None => Status::unavailable("no directory replica is configured"),
        })
    }

    /// Connecting counts against the deadline too, but only connecting is tried elsewhere.
    async fn call(
        &self,
        order: Vec<Arc<Known>>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let limit = deadline::of(request.headers()).unwrap_or(self.options.channel.deadline);
        let end = tokio::time::Instant::now() + limit;
        let late = |_| {
            let limit = limit.as_millis();
            Status::deadline_exceeded(format!("the directory did not answer within {limit} ms"))
        };
        let connected = timeout_at(end, self.connected(order)).await;
        let replica = connected.map_err(late)??;
        let mut channel = replica.channel.clone();
        let answered = timeout_at(end, channel.call(request)).await;
        let answered = answered.map_err(late).flatten();
        replica.note(&answered);
        answered
    }
}

impl Known {
    fn new(
        replica: &Replica,
        credentials: &Credentials,
        options: &DirectoryOptions,
    ) -> Result<Self, BadReplica> {
        let identity = credentials.peer(Tier::Directory, &replica.instance)?;
        let options_of_channel = options.channel.clone();
        let channel = channel(
            &replica.endpoint,
            &identity,
            credentials,
            options_of_channel,
        )
        .map_err(|source| BadReplica::Endpoint {
            instance: replica.instance.clone(),
            source,
        })?;
        Ok(Self {
            configured: replica.clone(),
            channel,
            avoid: options.avoid,
            avoided_until: Mutex::new(None),
        })
    }

    /// Asks this one replica; after `patience` it is avoided, but may still answer.
    pub(super) async fn resolve(
        &self,
        request: tonic::Request<ResolveRequest>,
        patience: Duration,
    ) -> Result<Vec<Answer>, Status> {
        let asked = request.get_ref().queries.len();
        let mut client = DirectoryClient::new(self.channel.clone());
        let call = client.resolve(request);
        tokio::pin!(call);
        let answered = match timeout(patience, &mut call).await {
            Ok(answered) => answered,
            Err(_) => {
                self.avoid();
                call.await
            }
        };
        let checked = answered.and_then(|reply| one_each(asked, reply.into_inner().answers));
        if let Err(status) = &checked {
            self.complain(status);
            self.avoid();
        }
        checked
    }

    fn note(&self, answered: &Result<Response<Body>, Status>) {
        let code = match answered {
            Ok(response) => Status::from_header_map(response.headers()).map(|it| it.code()),
            Err(status) => Some(status.code()),
        };
        if let Some(Code::Unavailable | Code::DeadlineExceeded) = code {
            self.avoid();
        }
    }

    /// Once for as long as it is avoided, not with every question.
    fn complain(&self, status: &Status) {
        if !self.is_avoided() {
            let (replica, why) = (self.channel.target(), status.message());
            tracing::warn!(replica, code = ?status.code(), why, "directory did not answer");
        }
    }

    fn avoid(&self) {
        *self.until() = Some(Instant::now() + self.avoid);
    }

    fn is_avoided(&self) -> bool {
        self.until().is_some_and(|until| until > Instant::now())
    }

    fn until(&self) -> parking_lot::MutexGuard<'_, Option<Instant>> {
        self.avoided_until.lock()
    }
}

/// A reply with too few or too many answers answers nothing.
fn one_each(asked: usize, answers: Vec<ResolveAnswer>) -> Result<Vec<Answer>, Status> {
    let read: Vec<_> = answers.into_iter().filter_map(Answer::read).collect();
    match read.len() == asked {
        true => Ok(read),
        false => Err(Status::internal(format!(
            "{asked} questions, {} answers",
            read.len()
        ))),
    }
}

/// Calls to whichever replica is well; each is sent once, to one that is connected.
#[derive(Debug, Clone)]
pub struct DirectoryChannel {
    replicas: Arc<Replicas>,
    first: First,
}

/// Which replica is asked first while all are well.
#[derive(Debug, Clone, Copy)]
pub(super) enum First {
    /// Another one each time: the load is spread.
    InTurn,
    /// The same one each time, chosen by this number: who writes and then reads asks one replica.
    Always(usize),
}

impl DirectoryChannel {
    pub(super) fn new(replicas: Arc<Replicas>, first: First) -> Self {
        Self { replicas, first }
    }

    fn order(&self) -> Vec<Arc<Known>> {
        match self.first {
            First::InTurn => self.replicas.in_turn(),
            First::Always(start) => self.replicas.from(start),
        }
    }
}

impl Service<Request<Body>> for DirectoryChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<Response<Body>, Status>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (replicas, order) = (self.replicas.clone(), self.order());
        Box::pin(async move { replicas.call(order, request).await })
    }
}
