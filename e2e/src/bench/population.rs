//! A directory's store with very many accounts, written as the directory would.

use std::sync::Arc;

use anyhow::{Result, bail};
use base64::Engine as _;
use directory::model::Key;
use directory::model::records::address_record::LeadsTo;
use directory::model::records::{
    AccountRecord, AddressRecord, ClusterRecord, CredentialRecord, DomainRecord, ShardRecord,
    ShardStateRecord,
};
use directory::store::{MAX_OPERATIONS, Outcome, SharedStore, Txn};
use prost::Message;
use tokio::task::JoinSet;
use wire::ids::{AccountId, ClusterId, ShardName};
use wire::rpc::{AccountState, ShardState};

use crate::message::Random;

pub(super) const DOMAIN: &str = "example.org";
const SHARDS: u64 = 8;
/// Any time will do.
const NOW_MS: i64 = 1_795_000_000_000;
/// Commits under way; the store syncs them together.
const CONCURRENCY: usize = 64;
/// Address, account and credential.
const KEYS: usize = 3;

/// The address of the n-th account: names of people's length.
pub(super) fn address(n: u64) -> String {
    format!("mailbox.owner-{n}@{DOMAIN}")
}

/// Fills an empty store.
pub(super) async fn fill(store: &SharedStore, cluster: ClusterId, accounts: u64) -> Result<()> {
    commit(store, head(cluster)?).await?;
    let per_txn = (MAX_OPERATIONS / KEYS) as u64;
    let mut under_way = JoinSet::new();
    for first in (0..accounts).step_by(per_txn as usize) {
        if under_way.len() >= CONCURRENCY
            && let Some(done) = under_way.join_next().await
        {
            done??;
        }
        let store = Arc::clone(store);
        let txn = people(first..accounts.min(first + per_txn))?;
        under_way.spawn(async move { commit(&store, txn).await });
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

async fn commit(store: &SharedStore, txn: Txn) -> Result<()> {
    match store.commit(txn).await? {
        Outcome::Committed(_) => Ok(()),
        Outcome::Conflict => bail!("the store is not empty"),
    }
}

fn head(cluster: ClusterId) -> Result<Txn> {
    let cluster = ClusterRecord {
        cluster_id: cluster.as_bytes().to_vec().into(),
        created_at_ms: NOW_MS,
    };
    let domain = DomainRecord {
        created_at_ms: NOW_MS,
        separator: "+".to_owned(),
        ..Default::default()
    };
    let mut txn = put(Txn::new(), Key::Cluster, &cluster);
    txn = put(txn, Key::Domain(DOMAIN.to_owned()), &domain);
    for number in 0..SHARDS {
        let state = ShardStateRecord {
            state: ShardState::Active.into(),
            changed_at_ms: NOW_MS,
            generation: 1,
            weight: 0,
        };
        let shard = ShardRecord {
            incarnation: 1,
            rpc_endpoint: format!("10.0.0.{number}:7410"),
            pop3_endpoint: format!("10.0.0.{number}:7411"),
            ..Default::default()
        };
        txn = put(txn, Key::ShardState(name(number)?), &state);
        txn = put(txn, Key::Shard(name(number)?), &shard);
    }
    Ok(txn)
}

fn name(number: u64) -> Result<ShardName> {
    Ok(format!("example-{number}").parse()?)
}

fn people(numbers: std::ops::Range<u64>) -> Result<Txn> {
    let mut txn = Txn::new();
    for n in numbers {
        let id = AccountId::random();
        let address = address(n);
        let account = AccountRecord {
            address: address.clone(),
            shard: name(n % SHARDS)?.to_string(),
            epoch: 1,
            state: AccountState::Active.into(),
            created_at_ms: NOW_MS,
            placement: "LeastLoaded".to_owned(),
            ..Default::default()
        };
        let leads_to = AddressRecord {
            created_at_ms: NOW_MS,
            leads_to: Some(LeadsTo::Account(id.as_bytes().to_vec().into())),
        };
        let credential = CredentialRecord {
            phc: phc(n),
            changed_at_ms: NOW_MS,
        };
        txn = put(txn, Key::Account(id), &account);
        txn = put(txn, Key::Address(address), &leads_to);
        txn = put(txn, Key::Credential(id), &credential);
    }
    Ok(txn)
}

fn put(txn: Txn, key: Key, record: &impl Message) -> Txn {
    txn.put(key.to_string(), record.encode_to_vec())
}

/// A hash of the form that the directory makes; of no password.
fn phc(n: u64) -> String {
    let mut random = Random::new(n);
    let mut octets = |count: usize| -> String {
        let octets: Vec<u8> = (0..count).map(|_| random.next() as u8).collect();
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(octets)
    };
    format!(
        "$argon2id$v=19$m=19456,t=2,p=1${}${}",
        octets(16),
        octets(32)
    )
}
