//! A shard that keeps what it gets in memory, or misbehaves as a test tells it.

use std::collections::HashMap;
use std::sync::Arc;

use kit::services::shard_server::{Shard, ShardServer};
use parking_lot::Mutex;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};
use wire::ids::AccountId;
use wire::rpc::deliver_outcome::Outcome;
use wire::rpc::deliver_part::Part;
use wire::rpc::{
    AccountUsageReply, AccountUsageRequest, DeliverCommit, DeliverHeader, DeliverOutcome,
    DeliverPart, DeliverReply, Stored,
};

/// How a shard treats an account.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mood {
    Stores,
    Moved(u64),
    Retry,
    Never,
    /// Never answers.
    Hangs,
}

/// A message as it was stored for one account.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) account: AccountId,
    pub(crate) prefix: String,
    pub(crate) body: Vec<u8>,
    pub(crate) delivery: Vec<u8>,
}

impl Kept {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub(crate) struct FakeShard {
    pub(crate) name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    endpoint: String,
    moods: HashMap<AccountId, Mood>,
    kept: Vec<Kept>,
    calls: usize,
}

impl FakeShard {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn set_endpoint(&self, endpoint: String) {
        self.state.lock().endpoint = endpoint;
    }

    pub(crate) fn endpoint(&self) -> String {
        self.state.lock().endpoint.clone()
    }

    pub(crate) fn set_mood(&self, account: AccountId, mood: Mood) {
        self.state.lock().moods.insert(account, mood);
    }

    /// What is stored, in order.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.state.lock().kept.clone()
    }

    /// Deliver calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.state.lock().calls
    }

    pub(crate) fn service(self: Arc<Self>) -> ShardServer<Self> {
        ShardServer::from_arc(self)
    }

    fn mood(&self, account: AccountId) -> Mood {
        let state = self.state.lock();
        state.moods.get(&account).cloned().unwrap_or(Mood::Stores)
    }

    fn store(&self, header: &DeliverHeader, body: &[u8], commit: &DeliverCommit) -> DeliverReply {
        let outcomes = header.targets.iter().map(|target| {
            let account = AccountId::from_slice(&target.account).unwrap();
            let outcome = match self.mood(account) {
                Mood::Moved(epoch) => Outcome::Moved(epoch),
                Mood::Retry => Outcome::Retry("told so".into()),
                Mood::Never => Outcome::Never("no UID is left".into()),
                Mood::Stores | Mood::Hangs => {
                    let prefix = String::from_utf8(target.prefix.to_vec()).unwrap();
                    let (body, delivery) = (body.to_vec(), commit.delivery_id.to_vec());
                    self.keep(Kept {
                        account,
                        prefix,
                        body,
                        delivery,
                    })
                }
            };
            DeliverOutcome {
                account: target.account.clone(),
                outcome: Some(outcome),
            }
        });
        DeliverReply {
            outcomes: outcomes.collect(),
        }
    }

    fn keep(&self, message: Kept) -> Outcome {
        let kept = &mut self.state.lock().kept;
        let same =
            |held: &&Kept| held.account == message.account && held.delivery == message.delivery;
        let stored = Stored {
            uid_validity: 1,
            uid: kept.len() as u32 + 1,
        };
        if kept.iter().any(|held| same(&held)) {
            return Outcome::Duplicate(stored);
        }
        kept.push(message);
        Outcome::Stored(stored)
    }
}

#[tonic::async_trait]
impl Shard for FakeShard {
    async fn deliver(
        &self,
        request: Request<Streaming<DeliverPart>>,
    ) -> Result<Response<DeliverReply>, Status> {
        self.state.lock().calls += 1;
        let mut parts = request.into_inner();
        let (mut header, mut body) = (None, Vec::new());
        while let Some(part) = parts.next().await {
            match part?.part {
                Some(Part::Header(first)) => header = Some(first),
                Some(Part::Chunk(chunk)) => body.extend_from_slice(&chunk),
                Some(Part::Commit(commit)) => {
                    let header = header.ok_or_else(|| Status::invalid_argument("no header"))?;
                    assert_eq!(header.size, body.len() as u64);
                    let hangs = |target: &wire::rpc::DeliverTarget| {
                        self.mood(AccountId::from_slice(&target.account).unwrap()) == Mood::Hangs
                    };
                    if header.targets.iter().any(hangs) {
                        std::future::pending::<()>().await;
                    }
                    return Ok(Response::new(self.store(&header, &body, &commit)));
                }
                None => return Err(Status::invalid_argument("an empty part")),
            }
        }
        Err(Status::cancelled("no commit"))
    }

    async fn account_usage(
        &self,
        _request: Request<AccountUsageRequest>,
    ) -> Result<Response<AccountUsageReply>, Status> {
        Err(Status::unimplemented("MX never asks"))
    }
}
