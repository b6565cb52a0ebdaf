//! From a password to a session at a shard: wait, ask, connect, follow a move once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kit::rpc::DirectoryClient;
use parking_lot::{Mutex, MutexGuard};
use strum::IntoStaticStr;
use tokio::time::sleep;
use wire::answer::{Answer as Resolution, NobodyKnows};
use wire::handoff::SessionId;
use wire::ids::Epoch;
use wire::pop3::reply::{Code, Reply};
use wire::rpc::authenticate_reply::Result as Answer;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{AuthenticateRequest, ResolveQuery};
use wire::secret::Secret;

use crate::metrics::Metrics;
use crate::pop3::Refusal;
use crate::shard::{self, Handed, Route, ShardError, Shards};
use crate::throttle::{Throttle, Verdict};
use crate::users::{Place, Users};

/// Decides about logins, for every connection of this proxy.
pub(crate) struct Gate {
    throttle: Mutex<Throttle>,
    directory: DirectoryClient,
    shards: Shards,
    users: Users,
    metrics: Metrics,
}

/// A client that is in.
pub(crate) struct Admitted {
    pub(crate) route: Route,
    /// The account's primary address.
    pub(crate) address: String,
    pub(crate) session: Box<shard::Session>,
    /// Held while the session lasts.
    pub(crate) place: Place,
}

/// Why a login did not succeed; each is one label, one log text and one answer.
#[derive(Debug, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Failure {
    #[error("wrong name or password")]
    Denied,
    #[error("too many logins wait")]
    Throttled,
    #[error("the password pool is full")]
    Busy,
    #[error("nobody knows: {0}")]
    NobodyKnows(NobodyKnows),
    #[error("the directory cannot be asked: {0}")]
    #[strum(serialize = "no_directory")]
    Directory(String),
    #[error("too many sessions of this account")]
    #[strum(serialize = "too_many_sessions")]
    Sessions,
    #[error(transparent)]
    #[strum(serialize = "no_shard")]
    Shard(#[from] ShardError),
    #[error("the account moved twice")]
    Moving,
    #[error("the shard refuses: {0:?}")]
    #[strum(serialize = "refused_by_shard")]
    Refused(Reply),
}

impl Failure {
    /// The metric's label.
    pub(crate) fn label(&self) -> &'static str {
        self.into()
    }

    /// What the client is told: only `Denied` is a no; a shard's own IN-USE passes.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Denied => Refusal::Denied,
            Self::Throttled => Refusal::Temporary("too many failed logins, try again later"),
            Self::Sessions => Refusal::Temporary("too many sessions of this account"),
            Self::Busy | Self::NobodyKnows(_) | Self::Directory(_) => {
                Refusal::Temporary("cannot check the password now, try again later")
            }
            Self::Shard(_) | Self::Moving => {
                Refusal::Temporary("the mailbox cannot be reached now, try again later")
            }
            Self::Refused(reply) if reply.code == Some(Code::InUse) => {
                Refusal::Shard(reply.clone())
            }
            Self::Refused(_) => Refusal::Temporary("the mailbox is not available, try again later"),
        }
    }
}

impl Gate {
    pub(crate) fn new(
        throttle: Throttle,
        directory: DirectoryClient,
        shards: Shards,
        users: Users,
        metrics: Metrics,
    ) -> Self {
        Self {
            throttle: Mutex::new(throttle),
            directory,
            shards,
            users,
            metrics,
        }
    }

    /// Logs a client in and counts how it went.
    pub(crate) async fn login(
        &self,
        client: SocketAddr,
        session: &SessionId,
        login: &str,
        password: &Secret,
    ) -> Result<Admitted, Failure> {
        let started = Instant::now();
        let result = self.try_login(client, session, login, password).await;
        let label = result.as_ref().map_or_else(Failure::label, |_| "granted");
        self.metrics.login(label);
        self.metrics
            .login_seconds
            .observe(started.elapsed().as_secs_f64());
        result
    }

    async fn try_login(
        &self,
        client: SocketAddr,
        session: &SessionId,
        login: &str,
        password: &Secret,
    ) -> Result<Admitted, Failure> {
        self.wait(client, login).await?;
        let (route, address) = self.authenticate(client, login, password).await?;
        let place = self.users.enter(route.account).ok_or(Failure::Sessions)?;
        let (route, session) = self.hand_over(route, client, session).await?;
        Ok(Admitted {
            route,
            address,
            session,
            place,
        })
    }

    /// Serves the wait that earlier failures have earned, before the directory is asked.
    async fn wait(&self, client: SocketAddr, login: &str) -> Result<(), Failure> {
        let verdict = self.throttle().begin(Instant::now(), client.ip(), login);
        match verdict {
            Verdict::Wait(Duration::ZERO) => Ok(()),
            Verdict::Wait(wait) => {
                let _waiting = Waiting { gate: self, client };
                sleep(wait).await;
                Ok(())
            }
            Verdict::Refuse => Err(Failure::Throttled),
        }
    }

    async fn authenticate(
        &self,
        client: SocketAddr,
        login: &str,
        password: &Secret,
    ) -> Result<(Route, String), Failure> {
        let request = AuthenticateRequest {
            login: login.to_owned(),
            password: password.expose().to_vec().into(),
            client: client.ip().to_string(),
        };
        let reply = self.directory.authenticate(request).await;
        let answer = reply.map_err(|status| Failure::Directory(status.message().to_owned()))?;
        match answer.result {
            Some(Answer::Granted(granted)) => {
                self.throttle()
                    .succeeded(Instant::now(), client.ip(), login);
                let route = granted.route.unwrap_or_default();
                Ok((Route::try_from(route)?, granted.address))
            }
            Some(Answer::Denied(_)) => {
                self.throttle().failed(Instant::now(), client.ip(), login);
                Err(Failure::Denied)
            }
            Some(Answer::Busy(_)) => Err(Failure::Busy),
            Some(Answer::NobodyKnows(why)) => {
                let why = NobodyKnows::try_from(why).unwrap_or_default();
                Err(Failure::NobodyKnows(why))
            }
            None => Err(Failure::Directory("empty answer".to_owned())),
        }
    }

    /// Asks the shard, and once more where the directory says the account is by then.
    async fn hand_over(
        &self,
        route: Route,
        client: SocketAddr,
        session: &SessionId,
    ) -> Result<(Route, Box<shard::Session>), Failure> {
        let epoch = match self.shards.hand_over(&route, client, session).await? {
            Handed::Ready(ready) => return Ok((route, ready)),
            Handed::Refused(reply) => return Err(Failure::Refused(reply)),
            Handed::Moved(epoch) => epoch,
        };
        let route = self.locate(&route, epoch).await?;
        match self.shards.hand_over(&route, client, session).await? {
            Handed::Ready(ready) => Ok((route, ready)),
            Handed::Refused(reply) => Err(Failure::Refused(reply)),
            Handed::Moved(_) => Err(Failure::Moving),
        }
    }

    /// Where the account is now, from a replica that knows of `epoch`.
    async fn locate(&self, stale: &Route, epoch: Epoch) -> Result<Route, Failure> {
        let query = ResolveQuery {
            subject: Some(Subject::Account(stale.account.to_field())),
            at_least_epoch: epoch.0,
        };
        let answers = self.directory.resolve(vec![query]).await;
        match answers.into_iter().next() {
            Some(Resolution::Yes(recipients)) => {
                let recipient = recipients.into_iter().next();
                let route = recipient
                    .and_then(|recipient| recipient.route)
                    .unwrap_or_default();
                Ok(Route::try_from(route)?)
            }
            Some(Resolution::NobodyKnows(why)) => Err(Failure::NobodyKnows(why)),
            // Removed since the password was checked: the next login is told by the directory.
            Some(Resolution::No(_)) => Err(Failure::Moving),
            Some(Resolution::NotMe) | None => {
                Err(Failure::Directory("no replica answered".to_owned()))
            }
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock()
    }
}

/// Counts as waiting, also when the client goes away meanwhile.
struct Waiting<'a> {
    gate: &'a Gate,
    client: SocketAddr,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gate.throttle().waited(self.client.ip());
    }
}
