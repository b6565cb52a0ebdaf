//! The lookups of MX and proxy: `Resolve`, `Authenticate` and `FollowShards`.

use std::sync::Arc;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::services::directory_server::Directory;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use wire::rpc::authenticate_reply::Result as Outcome;
use wire::rpc::{
    AuthenticateReply, AuthenticateRequest, FollowShardsRequest, ResolveReply, ResolveRequest,
};
use wire::secret::Secret;

use crate::authenticate::Authenticator;
use crate::contact::{Contact, refused};
use crate::map::Shared;
use crate::metrics::Metrics;
use crate::resolve::{MAX_QUERIES, answer};
use crate::serving::{Replies, follow_shards};
use crate::store::Freshness;

/// Longest client address that is logged.
const MAX_CLIENT: usize = 64;

/// Longest login that is logged.
const MAX_LOGIN: usize = 320;

/// The service.
pub(crate) struct Lookups {
    pub(crate) shared: Arc<Shared>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) contact: Arc<Contact>,
    pub(crate) authenticator: Authenticator,
    pub(crate) metrics: Metrics,
    /// How long a batch may take.
    pub(crate) budget: Duration,
    /// Ends streams.
    pub(crate) shutdown: Shutdown,
}

#[tonic::async_trait]
impl Directory for Lookups {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveReply>, Status> {
        self.contact.may_speak().map_err(|not_me| {
            self.metrics
                .queries_refused(request.get_ref().queries.len());
            refused(not_me)
        })?;
        let deadline = Instant::now() + self.budget;
        let queries = request.into_inner().queries;
        if queries.len() > MAX_QUERIES {
            let sentence = format!("queries: write at most {MAX_QUERIES}");
            return Err(Status::invalid_argument(sentence));
        }
        let answers = answer(&self.shared, &self.freshness, &queries, deadline).await;
        self.metrics.resolved(&answers);
        Ok(Response::new(ResolveReply { answers }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateReply>, Status> {
        // Before the slow hash: no password was checked, so it may be sent to another replica.
        self.contact.may_speak().map_err(|not_me| {
            self.metrics.login_refused();
            refused(not_me)
        })?;
        let began = Instant::now();
        let request = request.into_inner();
        let password = Secret::new(request.password);
        let outcome = self.authenticator.check(&request.login, password).await;
        let label = self.metrics.authenticated(&outcome);
        tracing::info!(
            login = cut(&request.login, MAX_LOGIN),
            client = cut(&request.client, MAX_CLIENT),
            account = account(&outcome),
            outcome = label,
            ms = began.elapsed().as_millis() as u64,
            "login"
        );
        Ok(Response::new(AuthenticateReply {
            result: Some(outcome),
        }))
    }

    type FollowShardsStream = Replies;

    async fn follow_shards(
        &self,
        _request: Request<FollowShardsRequest>,
    ) -> Result<Response<Self::FollowShardsStream>, Status> {
        let (shared, freshness) = (Arc::clone(&self.shared), Arc::clone(&self.freshness));
        let replies = follow_shards(shared, freshness, self.shutdown.clone()).await?;
        Ok(Response::new(replies))
    }
}

fn account(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Granted(granted) => Some(&granted.address),
        _ => None,
    }
}

fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}
