//! The store's keys. Each is text, `KIND/NAME`, so that they read well in `etcdctl`.

use std::fmt;
use std::str::FromStr;

use strum::VariantArray;
use wire::ids::{AccountId, RequestId, ShardName};

/// The longest key that is read: its kind, and an address of 320 octets (RFC 5321 4.5.3.1).
const MAX_LENGTH: usize = 400;

/// One key of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// `cluster/id`: a `ClusterRecord`, written once.
    Cluster,
    /// `limits/moves`: a `MoveLimitsRecord`.
    MoveLimits,
    /// `mover`: a `MoverRecord`, present while a replica is elected.
    Mover,
    /// `ordinals`: an `OrdinalsRecord`.
    Ordinals,
    /// `domains/<A-label>`: a `DomainRecord`.
    Domain(String),
    /// `addresses/<canonical>`: an `AddressRecord`.
    Address(String),
    /// `accounts/<UUID>`: an `AccountRecord`.
    Account(AccountId),
    /// `credentials/<UUID>`: a `CredentialRecord`.
    Credential(AccountId),
    /// `shardstate/<name>`: a `ShardStateRecord`.
    ShardState(ShardName),
    /// `shards/<name>`: a `ShardRecord`.
    Shard(ShardName),
    /// `volumes/<name>`: a `VolumeRecord`.
    Volume(ShardName),
    /// `loads/<name>`: a `LoadRecord`.
    Load(ShardName),
    /// `openings/<name>`: an `OpeningRecord`, present while the shard has no lease to its opening.
    Opening(ShardName),
    /// `leases/<name>`: a `LeaseRecord`, present while the lease is held.
    Lease(ShardName),
    /// `moves/<UUID>`: a `MoveRecord`, of that account.
    Move(AccountId),
    /// `debts/<shard>/<UUID>`: a `DebtRecord`: what that shard owes of that account.
    Debt(ShardName, AccountId),
    /// `requests/<UUID>`: a `RequestRecord`.
    Request(RequestId),
    /// `quota/<UUID>`: an `OverQuotaRecord`, present while the account is over.
    Quota(AccountId),
}

/// The kinds of keys, by their prefix in the store; a load may page by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray)]
#[expect(missing_docs, reason = "each is the kind of the Key of that name")]
pub enum Kind {
    Cluster,
    MoveLimits,
    Mover,
    Ordinals,
    Domain,
    Address,
    Account,
    Credential,
    ShardState,
    Shard,
    Volume,
    Load,
    Opening,
    Lease,
    Move,
    Debt,
    Request,
    Quota,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// What every key of this kind starts with; no prefix starts another.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Cluster => "cluster/id",
            Self::MoveLimits => "limits/moves",
            Self::Mover => "mover",
            Self::Ordinals => "ordinals",
            Self::Domain => "domains/",
            Self::Address => "addresses/",
            Self::Account => "accounts/",
            Self::Credential => "credentials/",
            Self::ShardState => "shardstate/",
            Self::Shard => "shards/",
            Self::Volume => "volumes/",
            Self::Load => "loads/",
            Self::Opening => "openings/",
            Self::Lease => "leases/",
            Self::Move => "moves/",
            Self::Debt => "debts/",
            Self::Request => "requests/",
            Self::Quota => "quota/",
        }
    }
}

impl Key {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Cluster => Kind::Cluster,
            Self::MoveLimits => Kind::MoveLimits,
            Self::Mover => Kind::Mover,
            Self::Ordinals => Kind::Ordinals,
            Self::Domain(_) => Kind::Domain,
            Self::Address(_) => Kind::Address,
            Self::Account(_) => Kind::Account,
            Self::Credential(_) => Kind::Credential,
            Self::ShardState(_) => Kind::ShardState,
            Self::Shard(_) => Kind::Shard,
            Self::Volume(_) => Kind::Volume,
            Self::Load(_) => Kind::Load,
            Self::Opening(_) => Kind::Opening,
            Self::Lease(_) => Kind::Lease,
            Self::Move(_) => Kind::Move,
            Self::Debt(..) => Kind::Debt,
            Self::Request(_) => Kind::Request,
            Self::Quota(_) => Kind::Quota,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().prefix())?;
        match self {
            Self::Cluster | Self::MoveLimits | Self::Mover | Self::Ordinals => Ok(()),
            Self::Domain(name) | Self::Address(name) => f.write_str(name),
            Self::ShardState(name)
            | Self::Shard(name)
            | Self::Volume(name)
            | Self::Load(name)
            | Self::Opening(name)
            | Self::Lease(name) => name.fmt(f),
            Self::Account(id) | Self::Credential(id) | Self::Move(id) | Self::Quota(id) => {
                id.fmt(f)
            }
            Self::Debt(shard, id) => write!(f, "{shard}/{id}"),
            Self::Request(id) => id.fmt(f),
        }
    }
}

/// A key in the store that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store holds a key {0:?} that this version does not know")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError(text.chars().take(MAX_LENGTH).collect());
        if text.len() > MAX_LENGTH {
            return Err(wrong());
        }
        let (kind, name) = Kind::ALL
            .iter()
            .find_map(|kind| Some((*kind, text.strip_prefix(kind.prefix())?)))
            .ok_or_else(wrong)?;
        parse_name(kind, name).ok_or_else(wrong)
    }
}

fn parse_name(kind: Kind, name: &str) -> Option<Key> {
    let account = || uuid_text(name)?.parse().ok();
    let shard = || name.parse().ok();
    let text = || (!name.is_empty()).then(|| name.to_owned());
    Some(match kind {
        Kind::Cluster => name.is_empty().then_some(Key::Cluster)?,
        Kind::MoveLimits => name.is_empty().then_some(Key::MoveLimits)?,
        Kind::Mover => name.is_empty().then_some(Key::Mover)?,
        Kind::Ordinals => name.is_empty().then_some(Key::Ordinals)?,
        Kind::Domain => Key::Domain(text()?),
        Kind::Address => Key::Address(text()?),
        Kind::Account => Key::Account(account()?),
        Kind::Credential => Key::Credential(account()?),
        Kind::ShardState => Key::ShardState(shard()?),
        Kind::Shard => Key::Shard(shard()?),
        Kind::Volume => Key::Volume(shard()?),
        Kind::Load => Key::Load(shard()?),
        Kind::Opening => Key::Opening(shard()?),
        Kind::Lease => Key::Lease(shard()?),
        Kind::Move => Key::Move(account()?),
        Kind::Debt => {
            let (shard, id) = name.split_once('/')?;
            Key::Debt(shard.parse().ok()?, uuid_text(id)?.parse().ok()?)
        }
        Kind::Request => Key::Request(uuid_text(name)?.parse().ok()?),
        Kind::Quota => Key::Quota(account()?),
    })
}

/// Only the form that is printed, so that one id has one key.
fn uuid_text(name: &str) -> Option<&str> {
    let lower = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f' | b'-');
    (name.len() == 36 && name.bytes().all(lower)).then_some(name)
}

/// Feeds any octets to the parser; what it accepts must print as it was.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(key.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_prints_what_it_parses() {
        let id = "6f1f2f5e-7a33-4c53-9a7e-0f3f3d7a8b11";
        for &kind in Kind::ALL {
            let name = match kind {
                Kind::Cluster | Kind::MoveLimits | Kind::Mover | Kind::Ordinals => "",
                Kind::Domain => "example.org",
                Kind::Address => "ana@example.org",
                Kind::ShardState
                | Kind::Shard
                | Kind::Volume
                | Kind::Load
                | Kind::Opening
                | Kind::Lease => "shard-1",
                Kind::Debt => "shard-1/6f1f2f5e-7a33-4c53-9a7e-0f3f3d7a8b11",
                _ => id,
            };
            let text = format!("{}{name}", kind.prefix());
            let key: Key = text.parse().unwrap();
            assert_eq!(key.kind(), kind);
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_none_of_ours() {
        let long = format!("addresses/{}", "a".repeat(MAX_LENGTH));
        let upper = "accounts/6F1F2F5E-7A33-4C53-9A7E-0F3F3D7A8B11";
        for bad in ["", "domains/", "cluster/idx", "shards/A", upper, &long] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_keys(
            text in "(accounts|leases|loads|domains|quota|mover|debts)/?[0-9a-f/-]{0,40}",
        ) {
            fuzz(text.as_bytes());
        }
    }
}
