//! Asking the directory, whichever replica answers.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use wire::answer::Answer;
use wire::identity::Identity;
use wire::rpc::{
    AuthenticateReply, AuthenticateRequest, FollowShardsReply, FollowShardsRequest, ResolveQuery,
    ResolveRequest,
};

use super::channel::ChannelOptions;
use super::unanswered::is_not_me;
use crate::lifecycle::Shutdown;
use crate::services::admin_client::AdminClient;
use crate::services::directory_client;
use crate::services::operator_client::OperatorClient;
use crate::services::registry_client::RegistryClient;
use crate::tls::{Credentials, RELOAD_INTERVAL};

mod hedge;
mod list;
pub mod replica;
mod replicas;

pub use list::ReplicaList;
pub use replica::{BadReplica, Replica};
pub use replicas::DirectoryChannel;

use list::Listed;
use replicas::{First, Replicas};

/// How the directory is asked.
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// A replica that has not answered, or is not connected, after this gets company: the question
    /// goes to the next one too.
    pub fail_over: Duration,
    /// When no replica has answered a question after this, the answer is "not me".
    pub resolve_deadline: Duration,
    /// For a password, connecting included.
    pub authenticate_deadline: Duration,
    /// A replica that failed or was slow is asked last for this long.
    pub avoid: Duration,
    /// Of the channels to the replicas.
    pub channel: ChannelOptions,
}

impl Default for DirectoryOptions {
    /// A replica answers within 200 ms, if only "nobody knows": 250 ms is a lost one. Two seconds were
    /// the paper's patience and are the ceiling here. A password costs 30 ms of a busy pool; 5 s
    /// covers the pool's queue.
    fn default() -> Self {
        Self {
            fail_over: Duration::from_millis(250),
            resolve_deadline: Duration::from_secs(2),
            authenticate_deadline: Duration::from_secs(5),
            avoid: Duration::from_secs(5),
            channel: ChannelOptions::default(),
        }
    }
}

/// A shard's watch at the directory is never silent for longer than this, as long as the replica is
/// in touch with its store; the proof for it may take as long again.
pub const WATCH_BEAT: Duration = Duration::from_secs(5);

/// A shard says every few seconds how the opening of its volume goes, and the directory writes that
/// down every ten: an older word is of one that has died, or hangs.
pub const OPENING_IS_OLD: Duration = Duration::from_secs(30);

/// The most questions in one batch, as the directory takes them.
pub const MAX_BATCH: usize = 256;

/// The directory as MX, proxy, shards and administrators ask it; cheap to clone.
#[derive(Debug, Clone)]
pub struct DirectoryClient {
    replicas: Arc<Replicas>,
    listed: Arc<Listed>,
    /// Which replica this process writes to while it is well.
    home: usize,
    options: Arc<DirectoryOptions>,
}

impl DirectoryClient {
    /// A client of these replicas, at least one. It connects with the first question.
    pub fn new(
        replicas: &[Replica],
        credentials: &Credentials,
        options: DirectoryOptions,
    ) -> Result<Self, BadReplica> {
        let list = ReplicaList::Fixed(replicas.to_vec());
        Self::of(list, credentials, options)
    }

    /// As [`Self::new`], of the replicas in a list; see [`Self::watch`].
    pub fn of(
        list: ReplicaList,
        credentials: &Credentials,
        options: DirectoryOptions,
    ) -> Result<Self, BadReplica> {
        let first_stamps = list::stamps(&list);
        let replicas = Arc::new(Replicas::new(&list.read()?, credentials, &options)?);
        let listed = Listed::new(replicas.clone(), list, first_stamps);
        Ok(Self {
            replicas,
            listed: Arc::new(listed),
            home: home_of(credentials.identity()),
            options: Arc::new(options),
        })
    }

    /// Follows changes of the list's file until `shutdown` closes, looking every
    /// [`RELOAD_INTERVAL`].
    pub fn watch(&self, shutdown: &Shutdown) {
        self.watch_every(RELOAD_INTERVAL, shutdown);
    }

    /// As [`Self::watch`], looking every `interval`.
    pub fn watch_every(&self, interval: Duration, shutdown: &Shutdown) {
        self.listed.watch(interval, shutdown);
    }

    /// Adds gauge and counters of the list to a tier's metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.listed.register(registry);
    }

    /// Asks where addresses and accounts are; one answer per question, in order. Never fails: what
    /// no replica answers is "not me". "Nobody knows" stands, and is not asked elsewhere.
    pub async fn resolve(&self, queries: Vec<ResolveQuery>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(queries.len());
        for batch in queries.chunks(MAX_BATCH) {
            match self.resolve_batch(batch).await {
                Some(answered) => answers.extend(answered),
                None => answers.extend(batch.iter().map(|_| Answer::NotMe)),
            }
        }
        answers
    }

    /// Checks a password: at one replica, sent once, and to the next one only after "not me", since
    /// then nothing was checked. Errors are temporary failures.
    pub async fn authenticate(
        &self,
        request: AuthenticateRequest,
    ) -> Result<AuthenticateReply, Status> {
        let deadline = self.options.authenticate_deadline;
        // The channel keeps the deadline for the reply's head; the rest comes right after it.
        let limit = deadline + self.options.fail_over;
        let asked = self.ask_password(request, Instant::now() + deadline);
        let late = || Status::deadline_exceeded("the directory did not answer in time");
        let answered = tokio::time::timeout(limit, asked).await;
        answered.map_err(|_| late())?
    }

    /// A replica that says "not me" is avoided from then on, so that the next round asks another.
    async fn ask_password(
        &self,
        request: AuthenticateRequest,
        end: Instant,
    ) -> Result<AuthenticateReply, Status> {
        let channel = DirectoryChannel::new(self.replicas.clone(), First::InTurn);
        let mut client = directory_client::DirectoryClient::new(channel);
        let mut rounds = 1..self.replicas.count();
        loop {
            let mut request = tonic::Request::new(request.clone());
            request.set_timeout(end.saturating_duration_since(Instant::now()));
            match client.authenticate(request).await {
                Err(status) if is_not_me(&status) && rounds.next().is_some() => {}
                answered => return Ok(answered?.into_inner()),
            }
        }
    }

    /// For MX: the directory's word on which shards serve, as a stream. See [`Self::channel`].
    pub async fn follow_shards(&self) -> Result<Streaming<FollowShardsReply>, Status> {
        let mut client = directory_client::DirectoryClient::new(self.channel());
        let replies = client.follow_shards(FollowShardsRequest {}).await?;
        Ok(replies.into_inner())
    }

    /// For shards: leases and the watch. See [`Self::channel`].
    pub fn registry(&self) -> RegistryClient<DirectoryChannel> {
        RegistryClient::new(self.channel())
    }

    /// As [`Self::registry`], but beginning with another replica each time: for whoever still waits
    /// for an answer of the one that is asked first.
    pub fn registry_in_turn(&self) -> RegistryClient<DirectoryChannel> {
        let channel = DirectoryChannel::new(self.replicas.clone(), First::InTurn);
        RegistryClient::new(channel)
    }

    /// For administrators. See [`Self::channel`].
    pub fn admin(&self) -> AdminClient<DirectoryChannel> {
        AdminClient::new(self.channel())
    }

    /// For whoever keeps the cluster as it is described. See [`Self::channel`].
    pub fn operator(&self) -> OperatorClient<DirectoryChannel> {
        OperatorClient::new(self.channel())
    }

    /// Calls to whichever replica is well, the same one each time while it is. Each is sent once, to
    /// a replica that is connected; after a failure the next call goes to another one, so who asks
    /// again asks elsewhere.
    pub fn channel(&self) -> DirectoryChannel {
        DirectoryChannel::new(self.replicas.clone(), First::Always(self.home))
    }

    /// `None`: no replica answered.
    async fn resolve_batch(&self, queries: &[ResolveQuery]) -> Option<Vec<Answer>> {
        let DirectoryOptions {
            fail_over,
            resolve_deadline,
            ..
        } = *self.options;
        let attempts = self.replicas.in_turn().into_iter().map(|replica| {
            let queries = queries.to_vec();
            let mut request = tonic::Request::new(ResolveRequest { queries });
            request.set_timeout(resolve_deadline);
            async move { replica.resolve(request, fail_over).await }
        });
        let first = hedge::first(attempts, fail_over);
        let answered = tokio::time::timeout(resolve_deadline, first).await;
        answered.ok()?.ok()
    }
}

/// Spreads processes over replicas, each always to the same one.
fn home_of(identity: &Identity) -> usize {
    let octets = identity.instance().bytes();
    octets.fold(0, |sum, octet| {
        sum.wrapping_mul(31).wrapping_add(octet.into())
    })
}
