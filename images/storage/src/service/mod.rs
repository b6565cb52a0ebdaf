//! The shard's RPC service: deliveries and usage.

use std::sync::Arc;
use std::time::Duration;

use kit::services::shard_server;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};
use wire::ids::AccountId;
use wire::rpc::{AccountUsage, AccountUsageReply, AccountUsageRequest, DeliverPart, DeliverReply};

use crate::shard::Shard;

mod deliver;

use self::deliver::Intake;

/// Octets of bodies that deliveries may hold in memory together.
pub const BODY_MEMORY: u64 = 256 << 20;

/// Largest body that is taken: MX announces 50 MiB and adds a header.
pub const MAX_BODY: u64 = 64 << 20;

/// How long a delivery waits for memory before it is put off.
pub const MEMORY_PATIENCE: Duration = Duration::from_secs(2);

/// How long a sender may pause between two parts.
pub const PART_PATIENCE: Duration = Duration::from_secs(60);

/// Most accounts asked for at once.
const MAX_USAGES: usize = 1000;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct ShardService {
    shard: Shard,
    /// In KiB.
    memory: Arc<Semaphore>,
    limits: Limits,
}

kit::settings! {
    /// Bounds of deliveries.
    pub struct Limits {
        /// Memory for bodies that come in.
        pub body_memory: u64 as SIZE = BODY_MEMORY,
        /// The largest body.
        pub max_body: u64 as SIZE = MAX_BODY,
        /// How long a delivery waits for memory.
        pub memory_patience: Duration as DURATION = MEMORY_PATIENCE,
        /// How long a delivery may pause.
        pub part_patience: Duration as DURATION = PART_PATIENCE,
    }
}

impl ShardService {
    /// Of a shard.
    pub fn new(shard: Shard, limits: Limits) -> Self {
        let kib = usize::try_from(limits.body_memory >> 10).unwrap_or(usize::MAX);
        Self {
            shard,
            memory: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            limits,
        }
    }
}

#[tonic::async_trait]
impl shard_server::Shard for ShardService {
    async fn deliver(
        &self,
        request: Request<Streaming<DeliverPart>>,
    ) -> Result<Response<DeliverReply>, Status> {
        let intake = Intake::new(&self.memory, &self.limits);
        let reply = intake.deliver(&self.shard, request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn account_usage(
        &self,
        request: Request<AccountUsageRequest>,
    ) -> Result<Response<AccountUsageReply>, Status> {
        let accounts = request.into_inner().accounts;
        if accounts.len() > MAX_USAGES {
            let text = format!(
                "{} accounts asked for, at most {MAX_USAGES}",
                accounts.len()
            );
            return Err(Status::invalid_argument(text));
        }
        let ids = accounts.iter().map(|id| AccountId::from_slice(id));
        let ids: Vec<AccountId> = ids
            .collect::<Result<_, _>>()
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let index = self.shard.index().clone();
        let look = move || ids.into_iter().map(|id| usage(&index, id)).collect();
        let usages: Result<Vec<AccountUsage>, Status> = kit::task::blocking(look).await?;
        let usages = usages?;
        Ok(Response::new(AccountUsageReply { usages }))
    }
}

fn usage(index: &crate::index::Index, id: AccountId) -> Result<AccountUsage, Status> {
    let account = index
        .account(id)
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let held = account.filter(|account| account.is_held());
    let usage = held
        .as_ref()
        .map(|account| account.usage())
        .unwrap_or_default();
    Ok(AccountUsage {
        account: id.to_field(),
        found: held.is_some(),
        bytes: usage.octets,
        messages: usage.messages,
        epoch: held.map_or(0, |account| account.epoch.0),
    })
}
