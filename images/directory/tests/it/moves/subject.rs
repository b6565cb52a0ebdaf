//! One account that is moved: what administrators, MX and its user do with it.

use buzonera_directory::model::Key;
use buzonera_directory::model::records::AccountRecord;
use buzonera_directory::store::{Expect, Outcome, Txn};
use kit::services::mover_client::MoverClient;
use prost::Message as _;
use tonic::{Code, Status};
use wire::answer::NobodyKnows;
use wire::identity::Tier;
use wire::ids::AccountId;
use wire::rpc::deliver_outcome::Outcome as Delivered;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::resolve_query::Subject as QuerySubject;
use wire::rpc::{
    AbortMoveRequest, Account, AccountUsageRequest, AddressName, ImportRequest, Move, MoveCommand,
    MovePhase, RemoveAccountRequest, ResolveQuery, ResolveRequest, RestoreAccountRequest, Route,
    ShowMoveRequest, StartMoveRequest,
};

use super::mail::{Maildrop, delivery};
use super::stage::{MESSAGES, SHARDS, Stage};
use crate::world::{id, until};

/// One account that is moved.
pub(crate) struct Subject<'a> {
    pub(super) stage: &'a Stage,
    pub(crate) address: String,
    pub(super) id: bytes::Bytes,
}

impl Subject<'_> {
    /// As the directory has it; none: it is gone.
    pub(crate) async fn shown(&self) -> Option<Account> {
        let name = AddressName {
            address: self.address.clone(),
        };
        match self.stage.world.admin().show_account(name).await {
            Ok(shown) => Some(shown.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}"),
        }
    }

    pub(crate) async fn route(&self) -> Route {
        self.shown().await.unwrap().route.unwrap()
    }

    /// Has the directory say that it is at another shard.
    pub(crate) async fn say_it_is_at(&self, shard: &str) {
        let account = AccountId::from_slice(&self.id).unwrap();
        let key = Key::Account(account).to_string();
        let found = self.stage.store.get(vec![key.clone()]).await.unwrap();
        let entry = found[0].clone().unwrap();
        let record = AccountRecord {
            shard: shard.to_owned(),
            ..AccountRecord::decode(entry.value).unwrap()
        };
        let txn = Txn::new()
            .when(key.clone(), Expect::At(entry.revision))
            .put(key, record.encode_to_vec());
        let written = self.stage.store.commit(txn).await.unwrap();
        assert!(matches!(written, Outcome::Committed(_)), "{written:?}");
    }

    /// Stores a message, trying again as MX does.
    pub(crate) async fn deliver(&self, message: u8) {
        until("a message is stored", || async {
            let route = self.route().await;
            let parts = tokio_stream::iter(delivery(&route, message));
            let mut shard = self.stage.shard(&route.shard, Tier::Mx);
            let reply = shard.deliver(parts).await.ok()?.into_inner();
            matches!(reply.outcomes[0].outcome, Some(Delivered::Stored(_))).then_some(())
        })
        .await;
    }

    /// Its mail at the shard and epoch that the directory names.
    pub(crate) async fn mail(&self) -> Vec<(String, String)> {
        let proxy = self.stage.issue(Tier::Proxy, "proxy-0");
        let opened = until("a maildrop opens", || async {
            Maildrop::open(&proxy, &self.route().await).await.ok()
        });
        opened.await.messages().await
    }

    /// Whether a shard has anything of it.
    pub(crate) async fn is_at(&self, shard: &str) -> bool {
        let usage = until("a shard tells what it has", || async {
            let request = AccountUsageRequest {
                accounts: vec![self.id.clone()],
            };
            let mut client = self.stage.shard(shard, Tier::Directory);
            client.account_usage(request).await.ok()
        });
        usage.await.into_inner().usages[0].found
    }

    pub(crate) async fn start(&self, target: &str) -> Move {
        let request = StartMoveRequest {
            request_id: id(),
            address: self.address.clone(),
            target: target.to_owned(),
        };
        let started = self.stage.world.admin().start_move(request).await.unwrap();
        started.into_inner()
    }

    pub(crate) async fn abort(&self) -> Result<Move, Status> {
        let request = AbortMoveRequest {
            request_id: id(),
            address: self.address.clone(),
        };
        let aborted = self.stage.world.admin().abort_move(request).await?;
        Ok(aborted.into_inner())
    }

    pub(crate) async fn remove(&self, purge: bool) {
        let request = RemoveAccountRequest {
            request_id: id(),
            address: self.address.clone(),
            purge,
        };
        self.stage
            .world
            .admin()
            .remove_account(request)
            .await
            .unwrap();
    }

    pub(crate) async fn restore(&self) {
        let request = RestoreAccountRequest {
            request_id: id(),
            address: self.address.clone(),
            ..RestoreAccountRequest::default()
        };
        self.stage
            .world
            .admin()
            .restore_account(request)
            .await
            .unwrap();
    }

    /// Has the target begin an import that can only fail: what it had built is gone.
    pub(crate) async fn lose_the_copy(&self, started: &Move) {
        let command = MoveCommand {
            move_id: started.move_id.clone(),
            account: self.id.clone(),
            epoch: started.epoch,
            source: started.source.clone(),
            target: started.target.clone(),
        };
        let request = ImportRequest {
            command: Some(command),
            source_endpoint: "127.0.0.1:1".to_owned(),
            source_incarnation: u64::MAX,
            change_number: 0,
            bytes_per_second: u64::MAX,
        };
        let channel = self.stage.channel(&started.target, &self.stage.directory());
        let mut target = MoverClient::new(channel);
        let mut reports = target.import(request).await.unwrap().into_inner();
        while let Ok(Some(report)) = reports.message().await {
            assert!(!report.complete);
        }
    }

    /// Waits until the directory says that it is at this shard, and since when.
    pub(crate) async fn comes_back(&self, shard: &str, epoch: u64) {
        until("the account comes back", || async {
            let route = self.route().await;
            (route.shard == shard && route.epoch == epoch).then_some(())
        })
        .await;
    }

    /// What MX is told of it, in a word.
    pub(crate) async fn resolved(&self) -> &'static str {
        let query = ResolveQuery {
            subject: Some(QuerySubject::Address(self.address.clone())),
            ..ResolveQuery::default()
        };
        let request = ResolveRequest {
            queries: vec![query],
        };
        let mut lookups = self.stage.world.lookups();
        let reply = lookups.resolve(request).await.unwrap().into_inner();
        match reply.answers[0].answer {
            Some(Answer::Yes(_)) => "yes",
            Some(Answer::No(_)) => "no",
            Some(Answer::NobodyKnows(why)) if why == NobodyKnows::Lost as i32 => "lost",
            Some(Answer::NobodyKnows(_)) => "nobody knows",
            None => "nothing",
        }
    }

    /// How far a move is. None: it is gone with its account.
    pub(crate) async fn moving(&self, started: &Move) -> Option<Move> {
        let request = ShowMoveRequest {
            move_id: started.move_id.clone(),
            ..ShowMoveRequest::default()
        };
        match self.stage.world.admin().show_move(request).await {
            Ok(now) => Some(now.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}"),
        }
    }

    /// Waits until a move is over: its last state. None: it is gone with its account.
    pub(crate) async fn over(&self, started: &Move) -> Option<Move> {
        until("the move is over", || async {
            let Some(now) = self.moving(started).await else {
                return Some(None);
            };
            let over = matches!(now.phase(), MovePhase::Done | MovePhase::Aborted);
            over.then_some(Some(now))
        })
        .await
    }

    /// Starts a move, which a driver that is killed then drives for so many effects.
    pub(crate) async fn start_and_kill(&self, effects: usize) -> Move {
        let started = self.start(SHARDS[1]).await;
        self.stage.drive_and_kill(effects).await;
        started
    }

    /// Waits until a move is over, which it has to be in this way.
    pub(crate) async fn ends_as(&self, started: &Move, phase: MovePhase) -> Move {
        let over = self.over(started).await.unwrap();
        assert_eq!(over.phase(), phase, "{over:?}");
        over
    }

    /// Waits until no shard owes anything of it.
    pub(crate) async fn nothing_is_owed(&self) {
        let account = AccountId::from_slice(&self.id).unwrap();
        until("all debts are paid", || async {
            let map = self.stage.map.read();
            let mut debts = map.all_debts();
            debts.all(|(_, of, _)| of != account).then_some(())
        })
        .await;
    }

    /// All mail is there once, at this shard and epoch alone, and more comes in after it.
    pub(crate) async fn is_whole(&self, before: &[(String, String)], shard: &str, epoch: u64) {
        let route = self.route().await;
        assert_eq!((route.shard.as_str(), route.epoch), (shard, epoch));
        self.nothing_is_owed().await;
        for other in SHARDS.into_iter().filter(|other| *other != shard) {
            assert!(!self.is_at(other).await, "{other} has a copy");
        }
        assert_eq!(self.mail().await, before);
        self.deliver(MESSAGES + 1).await;
        let after = self.mail().await;
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(&after[..before.len()], before);
    }
}
