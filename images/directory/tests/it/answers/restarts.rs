//! One of two replicas restarts again and again, with so many accounts that each load takes a while.

use buzonera_directory::credential::{Scratch, hash};
use buzonera_directory::model::Key;
use buzonera_directory::model::records::{
    AccountRecord, AddressRecord, ClusterRecord, CredentialRecord, DomainRecord, ShardRecord,
    ShardStateRecord, address_record,
};
use buzonera_directory::store::{SharedStore, Txn};
use buzonera_directory::{Config, Cost};
use futures::StreamExt as _;
use futures::future::join_all;
use kit::authority::Authority;
use kit::rpc::DirectoryClient;
use prost::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use wire::answer::Answer;
use wire::ids::{AccountId, ClusterId};
use wire::rpc::authenticate_reply::Result as Login;
use wire::rpc::{AccountState, Quota, ShardState};
use wire::secret::Secret;

use super::{A_MINUTE, PASSWORD, client, login, resolve, settings};
use crate::etcd::Server;
use crate::store_suite::{committed, share};
use crate::world::World;

/// A load takes long enough that callers ask meanwhile. The variable asks for more.
const ACCOUNTS: usize = 10_000;
const ACCOUNTS_VARIABLE: &str = "BUZONERA_ANSWERS_ACCOUNTS";

/// How often the second replica restarts.
const RESTARTS: usize = 4;

/// Callers at a time.
const CALLERS: u64 = 4;

/// One question of so many is a login.
const LOGINS: u64 = 8;

/// Three keys each, and a transaction has at most 128.
const BATCH: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_while_a_replica_restarts_again_and_again() {
    let accounts = std::env::var(ACCOUNTS_VARIABLE).ok();
    let accounts = accounts.map_or(ACCOUNTS, |count| count.parse().unwrap());
    let server = Server::start();
    let folder = TempDir::new().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    populate(&server, authority.cluster(), accounts).await;
    let again = || Authority::open(&folder.path().join("ca")).unwrap();
    let settings = |number| settings(&authority, folder.path(), number, A_MINUTE);
    let first = replica(&server, again(), settings(0)).await;
    let mut second = replica(&server, again(), settings(1)).await;
    let endpoints = [first.endpoint.clone(), second.endpoint.clone()];
    let client = client(&authority, folder.path(), &endpoints);

    let asked = AtomicU64::new(0);
    let callers = (0..CALLERS).map(|_| keep_asking(&client, accounts as u64, &asked));
    let restarts = async {
        for _ in 0..RESTARTS {
            second.stop().await;
            let before = asked.load(Ordering::Relaxed);
            let mut settings = settings(1);
            settings.listen = endpoints[1].parse().unwrap();
            second = replica(&server, again(), settings).await;
            let during = asked.load(Ordering::Relaxed) - before;
            assert!(during > 0, "nobody asked while it loaded");
        }
    };
    tokio::select! {
        () = restarts => {}
        _ = join_all(callers) => {}
    }
}

/// Every answer is right, whichever replica gives it.
async fn keep_asking(client: &DirectoryClient, accounts: u64, asked: &AtomicU64) {
    loop {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let address = address(number.wrapping_mul(7919) % accounts);
        let answer = resolve(client, &address).await;
        assert!(matches!(answer, Answer::Yes(_)), "{address}: {answer:?}");
        if number.is_multiple_of(LOGINS) {
            let reply = client.authenticate(login(&address, PASSWORD)).await;
            let result = reply.unwrap().result;
            assert!(matches!(result, Some(Login::Granted(_))), "{result:?}");
        }
    }
}

/// A replica with a connection to etcd of its own.
async fn replica(server: &Server, authority: Authority, settings: Config) -> World {
    let store = share(server.store(PREFIX).await);
    World::over(TempDir::new().unwrap(), authority, settings, store).await
}

const PREFIX: &str = "/buzonera/restarts/";

fn address(number: u64) -> String {
    format!("person-{number}@example.org")
}

/// All with one password, hashed once.
async fn populate(server: &Server, cluster: ClusterId, accounts: usize) {
    let store = share(server.store(PREFIX).await);
    committed(&store, head(cluster)).await;
    let cost = Cost {
        memory: 8,
        passes: 1,
    };
    let phc = hash(&Secret::new(PASSWORD), cost, &mut Scratch::default()).unwrap();
    let numbers: Vec<_> = (0..accounts as u64).collect();
    let batches: Vec<Txn> = numbers
        .chunks(BATCH)
        .map(|batch| people(batch, &phc))
        .collect();
    let write = |txn| write(&store, txn);
    futures::stream::iter(batches.into_iter().map(write))
        .buffer_unordered(8)
        .collect::<()>()
        .await;
}

async fn write(store: &SharedStore, txn: Txn) {
    committed(store, txn).await;
}

fn head(cluster: ClusterId) -> Txn {
    let id = ClusterRecord {
        cluster_id: cluster.to_field(),
        created_at_ms: 1,
    };
    let domain = DomainRecord {
        created_at_ms: 1,
        ..DomainRecord::default()
    };
    let state = ShardStateRecord {
        state: ShardState::Active.into(),
        changed_at_ms: 1,
        ..ShardStateRecord::default()
    };
    let shard = ShardRecord {
        incarnation: 1,
        rpc_endpoint: "127.0.0.1:1".to_owned(),
        pop3_endpoint: "127.0.0.1:2".to_owned(),
        ..ShardRecord::default()
    };
    let name = || "shard-1".parse().unwrap();
    let txn = put(Txn::new(), &Key::Cluster, &id);
    let txn = put(txn, &Key::Domain("example.org".to_owned()), &domain);
    let txn = put(txn, &Key::ShardState(name()), &state);
    put(txn, &Key::Shard(name()), &shard)
}

fn people(numbers: &[u64], phc: &str) -> Txn {
    numbers.iter().fold(Txn::new(), |txn, number| {
        let id = AccountId::random();
        let account = AccountRecord {
            address: address(*number),
            shard: "shard-1".to_owned(),
            epoch: 1,
            state: AccountState::Active.into(),
            created_at_ms: 1,
            quota: Some(Quota::default()),
            ..AccountRecord::default()
        };
        let leads_to = AddressRecord {
            created_at_ms: 1,
            leads_to: Some(address_record::LeadsTo::Account(id.to_field())),
        };
        let credential = CredentialRecord {
            phc: phc.to_owned(),
            changed_at_ms: 1,
        };
        let txn = put(txn, &Key::Account(id), &account);
        let txn = put(txn, &Key::Address(address(*number)), &leads_to);
        put(txn, &Key::Credential(id), &credential)
    })
}

fn put(txn: Txn, key: &Key, record: &impl Message) -> Txn {
    txn.put(key.to_string(), record.encode_to_vec())
}
