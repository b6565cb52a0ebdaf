//! The commands of a move, sent to the two shards.

use std::time::Duration;

use kit::rpc::Channel;
use kit::services::mover_client::MoverClient;
use kit::services::shard_client::ShardClient;
use tonic::{Code, Request, Response, Status, Streaming};
use wire::ids::Incarnation;
use wire::rpc::{
    AccountUsageRequest, DigestReply, FenceReply, ImportProgress, ImportRequest, MoveCommand,
};

use super::facts::{Fence, MoveFacts};
use super::look::ShardAt;
use super::plan::{Failure, Order};

/// How long a shard may take for a command: a fence waits for writes in flight, and every command
/// for a sync. (`Import` has no limit of its own, but each of its reports has this one.)
pub(crate) const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// How long admission waits to learn an account's size; without it the move begins all the same.
const USAGE_DEADLINE: Duration = Duration::from_secs(2);

/// One of the two shards of a move, and a channel to it.
pub(crate) struct Peer<'a> {
    pub(crate) shard: &'a ShardAt,
    pub(crate) channel: Channel,
}

/// A copy under way.
pub(crate) struct Copying<'a> {
    peer: &'a Peer<'a>,
    reports: Streaming<ImportProgress>,
}

impl Copying<'_> {
    /// The next report; the last one has `complete`.
    pub(crate) async fn report(&mut self) -> Result<ImportProgress, Failure> {
        let name = &self.peer.shard.name;
        let report = tokio::time::timeout(COMMAND_DEADLINE, self.reports.message())
            .await
            .map_err(|_| Failure::Away(format!("{name} stopped copying")))?
            .map_err(|status| self.peer.failure(Order::Import, &status))?;
        report.ok_or_else(|| Failure::Away(format!("{name} ended the copy before it was complete")))
    }
}

/// A command, which acts at the source's epoch.
pub(crate) fn command(facts: &MoveFacts) -> MoveCommand {
    MoveCommand {
        move_id: facts.id.to_field(),
        account: facts.account.to_field(),
        epoch: facts.epoch.0,
        source: facts.source.to_string(),
        target: facts.target.to_string(),
    }
}

impl Peer<'_> {
    fn mover(&self) -> MoverClient<Channel> {
        MoverClient::new(self.channel.clone())
    }

    fn request<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(COMMAND_DEADLINE);
        request
    }

    pub(crate) async fn prepare(&self, command: MoveCommand) -> Result<(), Failure> {
        let reply = self.mover().prepare(Self::request(command)).await;
        self.answer(Order::Prepare, reply).map(|_| ())
    }

    /// Fences the account; what it answered has to be of the incarnation that the store knows.
    pub(crate) async fn fence(&self, command: MoveCommand) -> Result<Fence, Failure> {
        let reply = self.mover().fence(Self::request(command)).await;
        let FenceReply {
            incarnation,
            change_number,
        } = self.answer(Order::Fence, reply)?;
        self.same_incarnation(incarnation)?;
        Ok(Fence {
            incarnation: Incarnation(incarnation),
            change_number,
        })
    }

    /// The digest, from the incarnation that the store knows. The shard lets a while pass before it
    /// says that it has not got one yet.
    pub(crate) async fn digest(&self, command: MoveCommand) -> Result<DigestReply, Failure> {
        loop {
            let reply = self.mover().digest(Self::request(command.clone())).await;
            let digest = self.answer(Order::Digest, reply)?;
            self.same_incarnation(digest.incarnation)?;
            if !digest.pending {
                return Ok(digest);
            }
        }
    }

    /// Begins the copy.
    pub(crate) async fn import(&self, request: ImportRequest) -> Result<Copying<'_>, Failure> {
        let asked = self.mover().import(Request::new(request)).await;
        Ok(Copying {
            peer: self,
            reports: self.answer(Order::Import, asked)?,
        })
    }

    /// Octets of the account, if the shard says so soon.
    pub(crate) async fn account_bytes(&self, facts: &MoveFacts) -> Option<u64> {
        let mut request = Request::new(AccountUsageRequest {
            accounts: vec![facts.account.to_field()],
        });
        request.set_timeout(USAGE_DEADLINE);
        let reply = ShardClient::new(self.channel.clone())
            .account_usage(request)
            .await
            .ok()?;
        let usage = reply.into_inner().usages.into_iter().next()?;
        usage.found.then_some(usage.bytes)
    }

    fn answer<T>(&self, order: Order, reply: Result<Response<T>, Status>) -> Result<T, Failure> {
        reply
            .map(Response::into_inner)
            .map_err(|status| self.failure(order, &status))
    }

    /// Only a refusal for good is one; all else may be another time.
    fn failure(&self, order: Order, status: &Status) -> Failure {
        let why = format!("{}: {}", self.shard.name, status.message());
        match status.code() {
            Code::FailedPrecondition => Failure::Refused(order, why),
            Code::ResourceExhausted => Failure::NearlyFull(why),
            Code::Aborted => Failure::OtherIncarnation(why),
            _ => Failure::Away(why),
        }
    }

    fn same_incarnation(&self, answered: u64) -> Result<(), Failure> {
        if Incarnation(answered) == self.shard.incarnation() {
            return Ok(());
        }
        Err(Failure::OtherIncarnation(format!(
            "{} answered as incarnation {answered}, the directory knows {}",
            self.shard.name,
            self.shard.incarnation()
        )))
    }
}
