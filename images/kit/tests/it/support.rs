//! A cluster's CA, identities, and a directory replica to call.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use buzonera_kit::authority::Authority;
use buzonera_kit::lifecycle::Shutdown;
use buzonera_kit::listener::{Listener, ListenerConfig};
use buzonera_kit::rpc::server::{ServerOptions, serve_with};
use buzonera_kit::rpc::{Channel, ChannelOptions, channel};
use buzonera_kit::services::directory_client::DirectoryClient;
use buzonera_kit::services::directory_server::{Directory, DirectoryServer};
use buzonera_kit::tls::Credentials;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::{
    AuthenticateReply, AuthenticateRequest, FollowShardsReply, FollowShardsRequest, Recipient,
    Recipients, ResolveAnswer, ResolveReply, ResolveRequest,
};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A free port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A cluster with its own CA.
pub(crate) struct Cluster {
    pub(crate) id: ClusterId,
    pub(crate) authority: Authority,
    pub(crate) dir: TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with_id(ClusterId::random())
    }

    pub(crate) fn with_id(id: ClusterId) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), id).unwrap();
        Self { id, authority, dir }
    }

    pub(crate) fn identity(&self, tier: Tier, instance: &str) -> Identity {
        Identity::new(self.id, tier, instance).unwrap()
    }

    pub(crate) fn folder(&self, tier: Tier, instance: &str) -> PathBuf {
        self.dir.path().join(format!("{tier}-{instance}"))
    }

    /// Issues an identity and loads it.
    pub(crate) fn credentials(&self, tier: Tier, instance: &str) -> Credentials {
        let folder = self.folder(tier, instance);
        let identity = self.identity(tier, instance);
        self.authority.issue(&identity, &folder).unwrap();
        Credentials::load(&folder).unwrap()
    }

    pub(crate) fn channel(&self, from: &Credentials, to: &Replica) -> Channel {
        let expect = self.identity(Tier::Directory, &to.instance);
        channel(&to.endpoint(), &expect, from, quick()).unwrap()
    }
}

/// Channel options for tests.
pub(crate) fn quick() -> ChannelOptions {
    ChannelOptions {
        connect_timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(5),
        pause_after_failure: Duration::from_millis(1),
        ..ChannelOptions::default()
    }
}

/// How a replica behaves.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Calls received.
    pub(crate) calls: AtomicUsize,
    /// Calls wait here while `hangs` is not 0.
    pub(crate) hangs: AtomicUsize,
    pub(crate) go_on: Notify,
    /// Calls fail with UNAVAILABLE while it is not 0.
    pub(crate) fails: AtomicUsize,
    /// Calls are told "not me" while it is not 0.
    pub(crate) not_me: AtomicUsize,
}

/// A directory replica in this process. It answers yes, with its own name.
pub(crate) struct Replica {
    pub(crate) instance: String,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) behaviour: Arc<Behaviour>,
    pub(crate) serving: JoinHandle<()>,
}

impl Replica {
    pub(crate) fn start(cluster: &Cluster, instance: &str) -> Self {
        let credentials = cluster.credentials(Tier::Directory, instance);
        Self::start_with(&credentials, ANY)
    }

    pub(crate) fn start_with(credentials: &Credentials, address: SocketAddr) -> Self {
        let listener = Listener::bind(ListenerConfig::new("rpc", "--listen", address)).unwrap();
        let address = listener.local_addr();
        let shutdown = Shutdown::new(Duration::ZERO, Duration::from_millis(500));
        let behaviour = Arc::new(Behaviour::default());
        let instance = credentials.identity().instance().to_owned();
        let service = DirectoryServer::new(Service {
            name: instance.clone(),
            behaviour: behaviour.clone(),
        });
        let options = ServerOptions {
            handshake_timeout: Duration::from_secs(2),
            ..ServerOptions::default()
        };
        let serving = tokio::spawn({
            let (credentials, shutdown) = (credentials.clone(), shutdown.clone());
            async move {
                let routes = tonic::service::Routes::new(service);
                let served = serve_with(listener, &credentials, routes, options, shutdown);
                served.await.unwrap();
            }
        });
        Self {
            instance,
            address,
            shutdown,
            behaviour,
            serving,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn calls(&self) -> usize {
        self.behaviour.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn hang(&self) {
        self.behaviour.hangs.store(1, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self) {
        self.behaviour.fails.store(1, Ordering::SeqCst);
    }

    pub(crate) fn say_not_me(&self) {
        self.behaviour.not_me.store(1, Ordering::SeqCst);
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger_now();
        self.serving.await.unwrap();
    }
}

struct Service {
    name: String,
    behaviour: Arc<Behaviour>,
}

impl Service {
    async fn behave(&self) -> Result<(), Status> {
        self.behaviour.calls.fetch_add(1, Ordering::SeqCst);
        if self.behaviour.not_me.load(Ordering::SeqCst) > 0 {
            let word = wire::answer::Word::NotMe(wire::answer::NotMe::Loading);
            return Err(buzonera_kit::rpc::unanswered(word));
        }
        if self.behaviour.fails.load(Ordering::SeqCst) > 0 {
            return Err(Status::unavailable("told to fail"));
        }
        if self.behaviour.hangs.load(Ordering::SeqCst) > 0 {
            self.behaviour.go_on.notified().await;
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Directory for Service {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveReply>, Status> {
        self.behave().await?;
        let caller = buzonera_kit::rpc::caller(&request)?;
        let answer = format!("{} to {}", self.name, caller.instance());
        let answers = request.get_ref().queries.iter().map(|_| ResolveAnswer {
            answer: Some(Answer::Yes(Recipients {
                recipients: vec![Recipient {
                    address: answer.clone(),
                    ..Recipient::default()
                }],
            })),
        });
        Ok(Response::new(ResolveReply {
            answers: answers.collect(),
        }))
    }

    async fn authenticate(
        &self,
        _request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateReply>, Status> {
        self.behave().await?;
        Ok(Response::new(AuthenticateReply::default()))
    }

    type FollowShardsStream = BoxStream<FollowShardsReply>;

    async fn follow_shards(
        &self,
        _request: Request<FollowShardsRequest>,
    ) -> Result<Response<Self::FollowShardsStream>, Status> {
        Err(Status::unimplemented("nobody here follows shards"))
    }
}

/// One question and its answer's text.
pub(crate) async fn ask(channel: &Channel) -> Result<String, Status> {
    let request = ResolveRequest {
        queries: vec![Default::default()],
    };
    let reply = DirectoryClient::new(channel.clone())
        .resolve(request)
        .await?;
    let answer = reply.into_inner().answers.remove(0);
    Ok(text(&wire::answer::Answer::read(answer).unwrap()))
}

/// The replica's own words, which it says as a recipient's address.
pub(crate) fn text(answer: &wire::answer::Answer) -> String {
    match answer {
        wire::answer::Answer::Yes(recipients) => recipients[0].address.clone(),
        other => panic!("{other:?}"),
    }
}

/// Waits until `what` holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
