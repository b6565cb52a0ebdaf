//! Any value under any of the store's keys.

use wire::ids::{AccountId, RequestId, ShardName};
use wire::rpc::AccountsByState;

use super::{Map, Shard};
use crate::model::{Key, Kind};

/// Puts any octets as the value of a key of each kind, the first octet says which, and deletes it:
/// it is a record or an error, and leaves nothing behind.
pub fn fuzz(data: &[u8]) {
    let Some((kind, value)) = data.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let Some(key) = key(kind) else {
        return;
    };
    let mut map = Map::default();
    let applied = map.apply(&key.to_string(), Some(value));
    let seen = (map.account_count(), map.moves().count(), map.alias_count());
    assert!(applied.is_ok() || seen == (0, 0, 0), "{key}: {seen:?}");
    for (account, record) in map.open_moves() {
        assert!(record.is_open() && map.move_of(account).is_some());
    }
    for (shard, account, _) in map.all_debts() {
        assert!(map.debt(shard, account).is_some());
    }
    let deleted = map.apply(&key.to_string(), None);
    assert!(deleted.is_ok(), "{key}");
    let left = (map.account_count(), map.moves().count(), map.alias_count());
    let kept = (map.open_moves().count(), map.all_debts().count());
    assert_eq!((left, kept), ((0, 0, 0), (0, 0)), "{key}");
    let nobody = |shard: &Shard| shard.accounts_by_state() == AccountsByState::default();
    assert!(map.shards().all(nobody), "{key}");
}

fn key(kind: Kind) -> Option<Key> {
    let account = AccountId::from_bytes([1; 16]);
    let shard: ShardName = "shard-1".parse().ok()?;
    Some(match kind {
        Kind::Cluster => Key::Cluster,
        Kind::MoveLimits => Key::MoveLimits,
        Kind::Mover => Key::Mover,
        Kind::Ordinals => Key::Ordinals,
        Kind::Domain => Key::Domain("example.org".to_owned()),
        Kind::Address => Key::Address("ana@example.org".to_owned()),
        Kind::Account => Key::Account(account),
        Kind::Credential => Key::Credential(account),
        Kind::ShardState => Key::ShardState(shard),
        Kind::Shard => Key::Shard(shard),
        Kind::Volume => Key::Volume(shard),
        Kind::Load => Key::Load(shard),
        Kind::Opening => Key::Opening(shard),
        Kind::Lease => Key::Lease(shard),
        Kind::Move => Key::Move(account),
        Kind::Debt => Key::Debt(shard, account),
        Kind::Request => Key::Request(RequestId::from_bytes([1; 16])),
        Kind::Quota => Key::Quota(account),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use wire::rpc::{AccountState, MovePhase};

    use super::*;
    use crate::model::records::{
        AccountRecord, AddressRecord, AliasTargets, CredentialRecord, DomainRecord, MoveRecord,
        address_record,
    };

    /// Good values, each after the octet that names its kind.
    fn good() -> Vec<Vec<u8>> {
        let account = AccountRecord {
            address: "ana@example.org".to_owned(),
            shard: "shard-1".to_owned(),
            epoch: 7,
            state: AccountState::Active.into(),
            move_id: vec![3; 16].into(),
            ..AccountRecord::default()
        };
        let targets = vec!["bo@example.org".to_owned(), "cy@example.org".to_owned()];
        let alias = AddressRecord {
            created_at_ms: 1,
            leads_to: Some(address_record::LeadsTo::Alias(AliasTargets { targets })),
        };
        let credential = CredentialRecord {
            phc: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2g".to_owned(),
            changed_at_ms: 1,
        };
        let domain = DomainRecord {
            postmaster: "ana@example.org".to_owned(),
            separator: "+".to_owned(),
            ..DomainRecord::default()
        };
        let moving = MoveRecord {
            move_id: vec![3; 16].into(),
            source: "shard-1".to_owned(),
            target: "shard-2".to_owned(),
            phase: MovePhase::Fencing.into(),
            ..MoveRecord::default()
        };
        let values = [
            (Kind::Account, account.encode_to_vec()),
            (Kind::Address, alias.encode_to_vec()),
            (Kind::Credential, credential.encode_to_vec()),
            (Kind::Domain, domain.encode_to_vec()),
            (Kind::Move, moving.encode_to_vec()),
        ];
        let number = |kind| Kind::ALL.iter().position(|known| *known == kind);
        let named = |(kind, value): (Kind, Vec<u8>)| {
            let mut named = vec![number(kind).unwrap() as u8];
            named.extend(value);
            named
        };
        values.into_iter().map(named).collect()
    }

    #[test]
    fn good_values() {
        for value in good() {
            fuzz(&value);
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn good_values_with_octets_changed(
            which in 0..5usize,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut value = good().swap_remove(which);
            for (place, octet) in changes {
                let place = 1 + place.index(value.len() - 1);
                value[place] = octet;
            }
            fuzz(&value);
        }
    }
}
