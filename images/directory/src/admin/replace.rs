//! Shards: another volume in place of the one that was served last.
//!
//! What was known of the old volume must not act on the new one, which may be older, empty or
//! short of mail: every account of the shard gets a later epoch and later UIDVALIDITYs, and is
//! Creating until the shard has made that durable. Only after that is the shard let in, whatever it
//! comes with. Interrupted, it is asked for again: epochs then rise once more, which harms nothing.
//! An account that another shard still keeps whole, since this one never said that it has it, goes
//! back there first (`give_back`).

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use wire::ids::{AccountId, ShardName};
use wire::rpc::{AccountState, ReplaceVolumeRequest, ShardInfo, ShardState};

use super::shards::unknown;
use super::write::{Found, Plan, Request, value};
use super::{Admin, refuse};
use crate::model::Key;
use crate::model::records::{AccountRecord, LeaseRecord, ShardStateRecord, VolumeRecord};
use crate::store::{Expect, Txn};

/// Accounts of one transaction: each is a condition and a write, and the store takes 128.
const BATCH: usize = 50;

/// How long one call works: callers wait ten seconds for an answer.
const WORK: Duration = Duration::from_secs(5);

/// How often a batch is decided anew when others change what it read.
pub(super) const ATTEMPTS: u32 = 10;

impl Admin {
    pub(super) async fn replace_volume(
        &self,
        mut message: ReplaceVolumeRequest,
    ) -> Result<ShardInfo, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.ReplaceVolume", &message)?;
        let name = refuse::shard("name", &message.name)?;
        if let Some(reply) = self.earlier(&request).await? {
            return Ok(reply);
        }
        let state = self.may_be_replaced(&name).await?;
        let since = self.replacing_since(&name).await?;
        self.give_back_all(&name, since).await?;
        self.renew_all(&name, since).await?;
        tracing::warn!(shard = %name, "the shard's volume is replaced by whichever comes next");
        self.write(&request, || self.plan_await(&name, &state))
            .await
    }

    /// What every account is to be asked for, at least: those that have it already were done before
    /// an interruption.
    async fn replacing_since(&self, name: &ShardName) -> Result<u64, Status> {
        for _ in 0..ATTEMPTS {
            let (txn, known) = self.volume(name).await?;
            if known.replacing > 0 {
                return Ok(known.replacing);
            }
            let record = VolumeRecord {
                replacing: self.begins_at(name),
                ..known
            };
            let txn = txn.put(Key::Volume(name.clone()).to_string(), value(&record));
            if self.step(txn).await?.is_some() {
                return Ok(record.replacing);
            }
        }
        Err(busy())
    }

    /// Seconds since 1970, and later than the last replacement asked of any account: two may begin
    /// within one second, and a clock may go back.
    fn begins_at(&self, name: &ShardName) -> u64 {
        let now = u64::try_from(kit::clock::unix_ms() / 1000).unwrap_or(0);
        let map = self.shared.read();
        let earlier = map.accounts_of(name).map(|account| account.replaced());
        earlier.max().map_or(now, |last| now.max(last + 1))
    }

    /// What was told of the volume, while the shard serves nothing.
    async fn volume(&self, name: &ShardName) -> Result<(Txn, VolumeRecord), Status> {
        let key = Key::Volume(name.clone());
        let known: Option<Found<VolumeRecord>> = self.read(key.clone()).await?;
        let expect = known
            .as_ref()
            .map_or(Expect::Absent, |found| Expect::At(found.revision));
        let txn = Txn::new()
            .when(key.to_string(), expect)
            .when(Key::Lease(name.clone()).to_string(), Expect::Absent);
        Ok((txn, known.map(|found| found.record).unwrap_or_default()))
    }

    /// The shard is known and serves nothing, and nothing of it is being moved.
    async fn may_be_replaced(&self, name: &ShardName) -> Result<ShardStateRecord, Status> {
        let found = self.shard_state(name).await?;
        let state = found.ok_or_else(|| unknown(name))?.record;
        match state.state() {
            ShardState::Active | ShardState::Cordoned | ShardState::Draining => {}
            ShardState::Retired => {
                let text = format!("{name} is retired: it has no volume any more");
                return Err(Status::failed_precondition(text));
            }
            ShardState::Lost => {
                let text = format!("{name} was declared lost, for good; add another shard");
                return Err(Status::failed_precondition(text));
            }
            ShardState::Unspecified => return Err(unknown(name)),
        }
        self.serves_nothing(name).await?;
        self.current().await?;
        let map = self.shared.read();
        let moves = map
            .open_moves()
            .filter(|(_, record)| [&record.source, &record.target].contains(&&name.to_string()));
        match moves.count() {
            0 => Ok(state),
            1.. => Err(Status::failed_precondition(format!(
                "accounts of {name} are being moved: wait for that, or abort it (`buzonera moves`)"
            ))),
        }
    }

    async fn serves_nothing(&self, name: &ShardName) -> Result<(), Status> {
        let lease: Option<Found<LeaseRecord>> = self.read(Key::Lease(name.clone())).await?;
        match lease {
            None => Ok(()),
            Some(_) => Err(Status::failed_precondition(format!(
                "{name} holds its lease, so it serves its volume: stop it first, and wait until \
                 its lease has ended"
            ))),
        }
    }

    /// Every account of the shard, by what the map shows; those that come later are new.
    async fn renew_all(&self, name: &ShardName, since: u64) -> Result<(), Status> {
        let ids: Vec<AccountId> = {
            let map = self.shared.read();
            let accounts = map.accounts_of(name);
            let old = accounts.filter(|account| account.replaced() < since);
            old.map(|account| account.id()).collect()
        };
        let deadline = Instant::now() + WORK;
        for (at, batch) in ids.chunks(BATCH).enumerate() {
            if Instant::now() > deadline {
                let done = at * BATCH;
                let all = ids.len();
                let text = format!("{done} of {all} accounts begin anew so far; ask again");
                return Err(Status::unavailable(text));
            }
            let mut attempts = 0..ATTEMPTS;
            while !self.renew_batch(name, batch, since).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(())
    }

    /// False: something changed meanwhile.
    async fn renew_batch(
        &self,
        name: &ShardName,
        batch: &[AccountId],
        since: u64,
    ) -> Result<bool, Status> {
        let keys = batch.iter().map(|id| Key::Account(*id)).collect();
        let found: Vec<Option<Found<AccountRecord>>> = self.read_all(keys).await?;
        let mut txn = Txn::new();
        for found in found.into_iter().flatten() {
            // Gone meanwhile, another shard's, or done.
            if found.record.shard == name.as_str() && found.record.uid_validity < since {
                let record = anew(&found.record, since);
                txn = found.unchanged(txn).put(found.key.clone(), value(&record));
            }
        }
        match txn.writes() {
            0 => Ok(true),
            _ => Ok(self.step(txn).await?.is_some()),
        }
    }

    async fn plan_await(
        &self,
        name: &ShardName,
        state: &ShardStateRecord,
    ) -> Result<Plan<ShardInfo>, Status> {
        self.serves_nothing(name).await?;
        let (txn, known) = self.volume(name).await?;
        let record = VolumeRecord {
            awaited: true,
            replacing: 0,
            told_at_ms: kit::clock::unix_ms(),
            ..known
        };
        let txn = txn.put(Key::Volume(name.clone()).to_string(), value(&record));
        Ok(Plan::Commit(txn, self.info(name, state)))
    }
}

pub(super) fn busy() -> Status {
    Status::unavailable("others kept changing what this needs; try again")
}

/// The account as the new volume is to have it. What is being purged stays so: the shard has
/// nothing to begin anew.
fn anew(record: &AccountRecord, since: u64) -> AccountRecord {
    let state = match record.state() {
        AccountState::Active | AccountState::Creating => AccountState::Creating,
        other @ (AccountState::Removed | AccountState::Purging | AccountState::Unspecified) => {
            other
        }
    };
    AccountRecord {
        state: state.into(),
        epoch: record.epoch + 1,
        pending: true,
        uid_validity: later_uid_validity(record, since),
        ..record.clone()
    }
}

/// Later than any that the account can have had.
pub(super) fn later_uid_validity(record: &AccountRecord, since: u64) -> u64 {
    let created = u64::try_from(record.created_at_ms / 1000).unwrap_or(0);
    since.max(created + 1).max(record.uid_validity + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_begins_anew() {
        use AccountState::{Active, Creating, Purging, Removed};
        for (state, expected) in [
            (Active, Creating),
            (Creating, Creating),
            (Removed, Removed),
            (Purging, Purging),
        ] {
            let record = AccountRecord {
                state: state.into(),
                epoch: 4,
                uid_validity: 1000,
                ..AccountRecord::default()
            };
            let later = anew(&record, 2000);
            assert_eq!(
                (later.state(), later.epoch, later.pending),
                (expected, 5, true)
            );
            assert_eq!(later.uid_validity, 2000);
            assert_eq!(
                anew(&record, 900).uid_validity,
                1001,
                "a clock that went back"
            );
        }
    }
}
