//! A directory that says what a test tells it.

use std::collections::HashMap;
use std::sync::Arc;

use kit::services::directory_server::{Directory, DirectoryServer};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use wire::answer::{NobodyKnows, NotMe, Word};
use wire::ids::AccountId;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::resolve_query::Subject;
use wire::rpc::{
    AuthenticateReply, AuthenticateRequest, FollowShardsReply, FollowShardsRequest, No, Recipient,
    Recipients, ResolveAnswer, ResolveQuery, ResolveReply, ResolveRequest, Route, ShardWord,
};

use super::FakeShard;

#[derive(Default)]
pub(crate) struct FakeDirectory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: HashMap<AccountId, Recipient>,
    addresses: HashMap<String, Vec<AccountId>>,
    removed: Vec<AccountId>,
    over_quota: Vec<AccountId>,
    unsure: bool,
    vanished: bool,
    mute: bool,
    words: HashMap<String, ShardWord>,
    followers: Vec<mpsc::UnboundedSender<Result<FollowShardsReply, Status>>>,
    batches: Vec<usize>,
}

impl FakeDirectory {
    /// Says where an account is.
    pub(crate) fn place(&self, account: AccountId, address: &str, shard: &FakeShard, epoch: u64) {
        let route = Route {
            account: account.to_field(),
            shard: shard.name.clone(),
            epoch,
            rpc_endpoint: shard.endpoint(),
            pop3_endpoint: String::new(),
        };
        let recipient = Recipient {
            route: Some(route),
            address: address.to_owned(),
            over_quota: false,
        };
        self.state.lock().accounts.insert(account, recipient);
    }

    /// Says where an address leads.
    pub(crate) fn lead(&self, address: &str, accounts: &[AccountId]) {
        let addresses = &mut self.state.lock().addresses;
        addresses.insert(address.to_owned(), accounts.to_vec());
    }

    /// The address is not there any more.
    pub(crate) fn unlead(&self, address: &str) {
        self.state.lock().addresses.remove(address);
    }

    pub(crate) fn remove(&self, account: AccountId) {
        self.state.lock().removed.push(account);
    }

    pub(crate) fn fill(&self, account: AccountId) {
        self.state.lock().over_quota.push(account);
    }

    pub(crate) fn be_unsure(&self, unsure: bool) {
        self.state.lock().unsure = unsure;
    }

    /// The only replica says "not me" from here on: nobody could be asked.
    pub(crate) fn vanish(&self, vanished: bool) {
        self.state.lock().vanished = vanished;
    }

    /// Says whether a shard serves, to all who follow.
    pub(crate) fn tell(&self, word: ShardWord) {
        let mut state = self.state.lock();
        state.words.insert(word.shard.clone(), word.clone());
        let reply = FollowShardsReply { shards: vec![word] };
        let told = |follower: &mpsc::UnboundedSender<_>| follower.send(Ok(reply.clone())).is_ok();
        state.followers.retain(told);
    }

    /// Ends all streams, and refuses new ones from here on.
    pub(crate) fn be_mute(&self) {
        let mut state = self.state.lock();
        state.mute = true;
        state.followers.clear();
    }

    /// Who follows now.
    pub(crate) fn followers(&self) -> usize {
        self.state.lock().followers.len()
    }

    /// Sizes of the batches that were asked.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.state.lock().batches.clone()
    }

    pub(crate) fn service(self: Arc<Self>) -> DirectoryServer<Self> {
        DirectoryServer::from_arc(self)
    }
}

impl State {
    fn answer(&self, query: ResolveQuery) -> Answer {
        if self.unsure {
            return Answer::NobodyKnows(NobodyKnows::Unproven.into());
        }
        match query.subject {
            Some(Subject::Postmaster(_)) => self.lookup("postmaster"),
            Some(Subject::Address(address)) => self.lookup(&address.to_lowercase()),
            Some(Subject::Account(account)) => {
                let account = AccountId::from_slice(&account).unwrap();
                if self.removed.contains(&account) {
                    return Answer::No(No::Removed.into());
                }
                self.yes(&[account])
            }
            None => Answer::NobodyKnows(NobodyKnows::Question.into()),
        }
    }

    fn lookup(&self, address: &str) -> Answer {
        match self.addresses.get(address) {
            Some(accounts) => self.yes(accounts),
            None if address.ends_with("@ours.example") => Answer::No(No::Unknown.into()),
            None => Answer::No(No::Foreign.into()),
        }
    }

    fn yes(&self, accounts: &[AccountId]) -> Answer {
        let recipient = |account: &AccountId| Recipient {
            over_quota: self.over_quota.contains(account),
            ..self.accounts[account].clone()
        };
        Answer::Yes(Recipients {
            recipients: accounts.iter().map(recipient).collect(),
        })
    }
}

#[tonic::async_trait]
impl Directory for FakeDirectory {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveReply>, Status> {
        let queries = request.into_inner().queries;
        let mut state = self.state.lock();
        if state.vanished {
            return Err(kit::rpc::unanswered(Word::NotMe(NotMe::Loading)));
        }
        state.batches.push(queries.len());
        let answer = |query| ResolveAnswer {
            answer: Some(state.answer(query)),
        };
        let answers = queries.into_iter().map(answer).collect();
        Ok(Response::new(ResolveReply { answers }))
    }

    async fn authenticate(
        &self,
        _request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateReply>, Status> {
        Err(Status::unimplemented("MX never asks"))
    }

    type FollowShardsStream = BoxStream<FollowShardsReply>;

    async fn follow_shards(
        &self,
        _request: Request<FollowShardsRequest>,
    ) -> Result<Response<Self::FollowShardsStream>, Status> {
        let mut state = self.state.lock();
        if state.vanished || state.mute {
            return Err(Status::unavailable("told so"));
        }
        let (follower, replies) = mpsc::unbounded_channel();
        let shards = state.words.values().cloned().collect();
        follower.send(Ok(FollowShardsReply { shards })).unwrap();
        state.followers.push(follower);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            replies,
        ))))
    }
}
