//! Reads from the store what a step is decided by.

use prost::{DecodeError, Message};
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::{ShardLoad, ShardState};

use super::facts::{MoveFacts, MoveFault};
use super::transition::{AccountAt, MoveAt, Witness};
use crate::model::Key;
use crate::model::records::{
    AccountRecord, LeaseRecord, LoadRecord, MoveRecord, ShardRecord, ShardStateRecord,
};
use crate::store::{self, Entry, Revision, Store};

/// Why the store's records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A record is not of its form.
    #[error("the record {key} cannot be read: {source}")]
    Record {
        /// The key.
        key: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// A move that this version cannot act on.
    #[error(transparent)]
    Move(#[from] MoveFault),
}

/// A shard as the store has it.
#[derive(Debug, Clone)]
pub(crate) struct ShardAt {
    pub(crate) name: ShardName,
    pub(crate) state: ShardState,
    /// Revision of the state's key.
    pub(crate) state_revision: Revision,
    pub(crate) record: ShardRecord,
    /// Revision of the record's key.
    pub(crate) revision: Revision,
    /// How full it is, as it last said.
    pub(crate) load: Option<ShardLoad>,
    /// A lease is held now.
    pub(crate) live: bool,
}

impl ShardAt {
    /// The run of the shard's process that the directory knows.
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation(self.record.incarnation)
    }

    /// The state's key, as it was read.
    pub(crate) fn state_witness(&self) -> Witness {
        (Key::ShardState(self.name.clone()), self.state_revision)
    }

    /// The record's key, as it was read.
    pub(crate) fn record_witness(&self) -> Witness {
        (Key::Shard(self.name.clone()), self.revision)
    }
}

/// A move and all around it, at one revision.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) current: MoveAt,
    pub(crate) account: Option<AccountAt>,
    pub(crate) source: ShardAt,
    pub(crate) target: ShardAt,
    /// The target has still to drop what an earlier move left there.
    pub(crate) target_owes: bool,
}

/// Reads an account's move and all around it; none when there is no such record.
pub(crate) async fn look(
    store: &dyn Store,
    account: AccountId,
) -> Result<Option<Sight>, LookError> {
    let Some(first) = read_move(store, account).await? else {
        return Ok(None);
    };
    let (source, target) = (&first.facts.source, &first.facts.target);
    let debt = Key::Debt(target.clone(), account);
    let mut keys = vec![Key::Move(account), Key::Account(account), debt];
    keys.extend(shard_keys(source).into_iter().chain(shard_keys(target)));
    let mut entries = get(store, &keys).await?.into_iter();
    let mut next = || entries.next().flatten();
    let Some(current) = move_at(account, next())? else {
        return Ok(None);
    };
    let account = account_at(account, next())?;
    let target_owes = next().is_some();
    let source = shard_at(source, [next(), next(), next(), next()])?;
    let target = shard_at(target, [next(), next(), next(), next()])?;
    Ok(Some(Sight {
        current,
        account,
        source,
        target,
        target_owes,
    }))
}

/// Reads an account's open or last move.
pub(crate) async fn read_move(
    store: &dyn Store,
    account: AccountId,
) -> Result<Option<MoveAt>, LookError> {
    let mut entries = get(store, &[Key::Move(account)]).await?;
    move_at(account, entries.pop().flatten())
}

/// Reads an account.
pub(crate) async fn read_account(
    store: &dyn Store,
    account: AccountId,
) -> Result<Option<AccountAt>, LookError> {
    let mut entries = get(store, &[Key::Account(account)]).await?;
    account_at(account, entries.pop().flatten())
}

/// Reads a shard; one that was never added has state Unspecified.
pub(crate) async fn read_shard(store: &dyn Store, name: &ShardName) -> Result<ShardAt, LookError> {
    let mut entries = get(store, &shard_keys(name)).await?.into_iter();
    let mut next = || entries.next().flatten();
    shard_at(name, [next(), next(), next(), next()])
}

async fn get(store: &dyn Store, keys: &[Key]) -> Result<Vec<Option<Entry>>, LookError> {
    Ok(store.get(keys.iter().map(Key::to_string).collect()).await?)
}

fn shard_keys(name: &ShardName) -> [Key; 4] {
    [
        Key::ShardState(name.clone()),
        Key::Shard(name.clone()),
        Key::Load(name.clone()),
        Key::Lease(name.clone()),
    ]
}

fn decode<T: Message + Default>(entry: Entry) -> Result<(T, Revision), LookError> {
    let record = T::decode(entry.value).map_err(|source| LookError::Record {
        key: entry.key,
        source,
    })?;
    Ok((record, entry.revision))
}

fn move_at(account: AccountId, entry: Option<Entry>) -> Result<Option<MoveAt>, LookError> {
    let Some(entry) = entry else { return Ok(None) };
    let (record, revision) = decode::<MoveRecord>(entry)?;
    Ok(Some(MoveAt {
        facts: MoveFacts::read(account, &record)?,
        revision,
    }))
}

fn account_at(id: AccountId, entry: Option<Entry>) -> Result<Option<AccountAt>, LookError> {
    let Some(entry) = entry else { return Ok(None) };
    let (record, revision) = decode::<AccountRecord>(entry)?;
    Ok(Some(AccountAt {
        id,
        record,
        revision,
    }))
}

fn shard_at(
    name: &ShardName,
    [state, record, load, lease]: [Option<Entry>; 4],
) -> Result<ShardAt, LookError> {
    let (state, state_revision): (ShardStateRecord, _) =
        state.map(decode).transpose()?.unwrap_or_default();
    let (record, revision): (ShardRecord, _) = record.map(decode).transpose()?.unwrap_or_default();
    let load: Option<(LoadRecord, _)> = load.map(decode).transpose()?;
    let lease: Option<(LeaseRecord, _)> = lease.map(decode).transpose()?;
    let live = lease.is_some_and(|(lease, _)| lease.incarnation == record.incarnation);
    let (name, state) = (name.clone(), state.state());
    Ok(ShardAt {
        name,
        state,
        state_revision,
        record,
        revision,
        load: load.and_then(|(told, _)| told.load),
        live,
    })
}
