//! A directory over real gRPC that answers as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kit::lifecycle::{DRAIN, Shutdown};
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::server::serve;
use kit::services::directory_server::{self, DirectoryServer};
use kit::tls::Credentials;
use parking_lot::Mutex;
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use wire::answer::NobodyKnows;
use wire::rpc::authenticate_reply::Result as Answer;
use wire::rpc::resolve_answer::Answer as Resolution;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{
    AuthenticateReply, AuthenticateRequest, Denied, FollowShardsReply, FollowShardsRequest,
    Granted, Recipient, Recipients, ResolveAnswer, ResolveReply, ResolveRequest, Route,
};

use crate::world::ANY;

#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) address: SocketAddr,
    known: Arc<Mutex<Known>>,
    shutdown: Shutdown,
}

#[derive(Default)]
struct Known {
    logins: HashMap<String, (String, Route)>,
    /// What is answered instead of yes and no.
    instead: Option<Answer>,
    /// Where accounts are, when asked by id.
    routes: Vec<Route>,
    /// `at_least_epoch` of each question by id.
    asked: Vec<u64>,
    /// Passwords seen.
    passwords: Vec<Vec<u8>>,
}

impl Directory {
    pub(crate) fn start(credentials: &Credentials) -> Self {
        let listener = Listener::bind(ListenerConfig::new("rpc", "--listen", ANY)).unwrap();
        let directory = Self {
            address: listener.local_addr(),
            known: Arc::default(),
            shutdown: Shutdown::new(std::time::Duration::ZERO, DRAIN),
        };
        let (credentials, service) = (credentials.clone(), directory.clone());
        let shutdown = directory.shutdown.clone();
        tokio::spawn(async move {
            let routes = Routes::new(DirectoryServer::new(service));
            serve(listener, &credentials, routes, shutdown)
                .await
                .unwrap();
        });
        directory
    }

    pub(crate) fn knows(&self, login: &str, password: &str, route: Route) {
        let entry = (password.to_owned(), route);
        self.known.lock().logins.insert(login.to_owned(), entry);
    }

    /// From now on every password gets this answer; `None`: yes or no again.
    pub(crate) fn answers(&self, instead: Option<Answer>) {
        self.known.lock().instead = instead;
    }

    /// What questions by account id are answered with.
    pub(crate) fn routes(&self, routes: Vec<Route>) {
        self.known.lock().routes = routes;
    }

    pub(crate) fn asked(&self) -> Vec<u64> {
        self.known.lock().asked.clone()
    }

    pub(crate) fn passwords(&self) -> Vec<Vec<u8>> {
        self.known.lock().passwords.clone()
    }

    pub(crate) fn stop(&self) {
        self.shutdown.trigger_now();
    }
}

#[tonic::async_trait]
impl directory_server::Directory for Directory {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveReply>, Status> {
        let mut known = self.known.lock();
        let query = &request.get_ref().queries[0];
        let Some(Subject::Account(account)) = &query.subject else {
            return Err(Status::invalid_argument("proxies ask by account"));
        };
        known.asked.push(query.at_least_epoch);
        let route = known
            .routes
            .iter()
            .find(|route| route.account == *account)
            .cloned();
        let answer = match route {
            Some(route) => Resolution::Yes(Recipients {
                recipients: vec![Recipient {
                    route: Some(route),
                    ..Recipient::default()
                }],
            }),
            None => Resolution::NobodyKnows(NobodyKnows::Epoch.into()),
        };
        let answers = vec![ResolveAnswer {
            answer: Some(answer),
        }];
        Ok(Response::new(ResolveReply { answers }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateReply>, Status> {
        let request = request.into_inner();
        let mut known = self.known.lock();
        known.passwords.push(request.password.to_vec());
        let login = known.logins.get(&request.login);
        let answer = match (&known.instead, login) {
            (Some(instead), _) => instead.clone(),
            (None, Some((password, route))) if password.as_bytes() == &request.password[..] => {
                Answer::Granted(Granted {
                    route: Some(route.clone()),
                    address: request.login,
                })
            }
            _ => Answer::Denied(Denied {}),
        };
        let result = Some(answer);
        Ok(Response::new(AuthenticateReply { result }))
    }

    type FollowShardsStream = BoxStream<FollowShardsReply>;

    async fn follow_shards(
        &self,
        _request: Request<FollowShardsRequest>,
    ) -> Result<Response<Self::FollowShardsStream>, Status> {
        Err(Status::unimplemented("proxies follow no shards"))
    }
}
