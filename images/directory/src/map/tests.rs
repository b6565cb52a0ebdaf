use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wire::rpc::{AccountState, MovePhase};

use super::*;
use crate::model::records::{
    AccountRecord, AddressRecord, AliasTargets, CredentialRecord, DomainRecord, MoveRecord,
    address_record,
};

fn id(n: u32) -> AccountId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    AccountId::from_bytes(bytes)
}

fn put(map: &mut Map, key: &Key, record: &impl Message) {
    map.apply(&key.to_string(), Some(&record.encode_to_vec()))
        .unwrap();
}

fn delete(map: &mut Map, key: &Key) {
    map.apply(&key.to_string(), None).unwrap();
}

fn leads_to_account(n: u32) -> AddressRecord {
    AddressRecord {
        created_at_ms: 1,
        leads_to: Some(address_record::LeadsTo::Account(id(n).to_field())),
    }
}

fn leads_to(targets: &[String]) -> AddressRecord {
    AddressRecord {
        created_at_ms: 1,
        leads_to: Some(address_record::LeadsTo::Alias(AliasTargets {
            targets: targets.to_vec(),
        })),
    }
}

fn account(address: &str, shard: &str, state: AccountState, created_at_ms: i64) -> AccountRecord {
    AccountRecord {
        address: address.to_owned(),
        shard: shard.to_owned(),
        epoch: 1,
        state: state.into(),
        created_at_ms,
        placement: "LeastLoaded".to_owned(),
        ..AccountRecord::default()
    }
}

#[test]
fn keys_come_in_any_order() {
    let mut map = Map::default();
    let address = Key::Address("ana@example.org".to_owned());
    put(&mut map, &address, &leads_to_account(1));
    let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaA";
    let credential = CredentialRecord {
        phc: phc.to_owned(),
        changed_at_ms: 5,
    };
    put(&mut map, &Key::Credential(id(1)), &credential);
    let record = account("ana@example.org", "shard-1", AccountState::Active, 7);
    put(&mut map, &Key::Account(id(1)), &record);
    assert!(map.domain("example.org").is_none());
    put(
        &mut map,
        &Key::Domain("example.org".to_owned()),
        &DomainRecord::default(),
    );

    let Some(LeadsTo::Account(found)) = map.address("ana@example.org") else {
        panic!("an account's address");
    };
    let found = map.account(found).unwrap();
    assert_eq!(found.address(), "ana@example.org");
    assert_eq!(found.shard().name().as_str(), "shard-1");
    assert_eq!(map.credential(id(1)).as_deref(), Some(phc));
    assert_eq!(map.domain("example.org").unwrap().accounts, 1);
    assert_eq!(map.oldest_account("example.org").unwrap().id(), id(1));
}

#[test]
fn a_value_that_is_no_record_is_an_error_that_names_the_key() {
    let mut map = Map::default();
    let error = map.apply("domains/example.org", Some(b"\xff")).unwrap_err();
    assert!(error.to_string().contains("domains/example.org"), "{error}");
    let key = Key::Account(id(1)).to_string();
    assert!(map.apply(&key, Some(b"")).is_err());
    assert_eq!(map.account_count(), 0);
}

#[test]
fn keys_of_a_newer_version_are_counted_and_left_alone() {
    let mut map = Map::default();
    map.apply("lists/all@example.org", Some(b"x")).unwrap();
    assert_eq!(map.unknown_keys(), 1);
}

#[test]
fn removed_accounts_are_found_by_the_address_they_had() {
    let mut map = Map::default();
    let mut record = account("ana@example.org", "shard-1", AccountState::Removed, 7);
    record.removed_at_ms = 9;
    put(&mut map, &Key::Account(id(1)), &record);
    assert_eq!(map.former_accounts("ana@example.org")[0].id(), id(1));
    assert_eq!(map.all_former_accounts().count(), 1);
    assert!(map.oldest_account("example.org").is_none());
    delete(&mut map, &Key::Account(id(1)));
    assert!(map.former_accounts("ana@example.org").is_empty());
}

#[test]
fn a_million_accounts_fit() {
    // A hundredth of it: the tables are at their emptiest just after they doubled, at 7/16.
    let mut map = Map::default();
    put(
        &mut map,
        &Key::Domain("example.org".to_owned()),
        &DomainRecord::default(),
    );
    let accounts = 114_700;
    for n in 0..accounts {
        let address = format!("firstname.lastname{n:06}@example.org");
        let mut record = account(&address, "shard-1", AccountState::Active, 1_800_000_000_000);
        record.quota = Some(wire::rpc::Quota {
            bytes: 5 << 30,
            messages: 0,
        });
        put(&mut map, &Key::Account(id(n)), &record);
        put(&mut map, &Key::Address(address), &leads_to_account(n));
        let salt = "c2FsdHNhbHRzYWx0c2FsdA";
        let hash = "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        let phc = format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}");
        let credential = CredentialRecord {
            phc,
            changed_at_ms: 1,
        };
        put(&mut map, &Key::Credential(id(n)), &credential);
    }
    let per_account = map.bytes() / accounts as usize;
    assert!(per_account < 250, "{per_account} octets per account");
}

/// One step of a random history over a few names.
#[derive(Debug, Clone)]
enum Step {
    Account(u32, Option<(u8, u8, i64)>),
    Address(u8, Option<u32>),
    Alias(u8, BTreeSet<u8>),
    Domain(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop::option::of((0..3u8, 1..5u8, 0..50i64));
    prop_oneof![
        4 => (0..30u32, state).prop_map(|(n, to)| Step::Account(n, to)),
        4 => (0..40u8, prop::option::of(0..30u32)).prop_map(|(n, to)| Step::Address(n, to)),
        2 => (0..40u8, prop::collection::btree_set(0..40u8, 1..4))
            .prop_map(|(n, to)| Step::Alias(n, to)),
        1 => (0..3u8, any::<bool>()).prop_map(|(n, there)| Step::Domain(n, there)),
    ]
}

fn address_name(n: u8) -> String {
    format!("user{}@d{}.example", n / 3, n % 3)
}

fn account_address_name(n: u32) -> String {
    address_name(n as u8)
}

#[derive(Default)]
struct Naive {
    accounts: BTreeMap<u32, (u8, u8, i64)>,
    addresses: BTreeMap<u8, Result<u32, BTreeSet<u8>>>,
    domains: BTreeSet<u8>,
}

impl Naive {
    fn step(&mut self, map: &mut Map, step: Step) {
        match step {
            Step::Account(n, None) => {
                self.accounts.remove(&n);
                delete(map, &Key::Account(id(n)));
            }
            Step::Account(n, Some((shard, state, created))) => {
                self.accounts.insert(n, (shard, state, created));
                let state = AccountState::try_from(i32::from(state)).unwrap();
                let shard = format!("shard-{shard}");
                let record = account(&account_address_name(n), &shard, state, created);
                put(map, &Key::Account(id(n)), &record);
            }
            Step::Address(n, None) => {
                self.addresses.remove(&n);
                delete(map, &Key::Address(address_name(n)));
            }
            Step::Address(n, Some(to)) => {
                self.addresses.insert(n, Ok(to));
                put(map, &Key::Address(address_name(n)), &leads_to_account(to));
            }
            Step::Alias(n, to) => {
                let targets: Vec<_> = to.iter().map(|n| address_name(*n)).collect();
                self.addresses.insert(n, Err(to));
                put(map, &Key::Address(address_name(n)), &leads_to(&targets));
            }
            Step::Domain(n, true) => {
                self.domains.insert(n);
                put(
                    map,
                    &Key::Domain(format!("d{n}.example")),
                    &DomainRecord::default(),
                );
            }
            Step::Domain(n, false) => {
                self.domains.remove(&n);
                delete(map, &Key::Domain(format!("d{n}.example")));
            }
        }
    }

    fn check(&self, map: &Map) {
        assert_eq!(map.account_count(), self.accounts.len());
        for shard in 0..3u8 {
            let name: ShardName = format!("shard-{shard}").parse().unwrap();
            let there: BTreeSet<_> = map.accounts_of(&name).map(|account| account.id()).collect();
            let expected = self.accounts.iter().filter(|(_, (at, ..))| *at == shard);
            assert_eq!(there, expected.map(|(n, _)| id(*n)).collect());
        }
        for (n, (_, state, created)) in &self.accounts {
            let account = map.account(id(*n)).unwrap();
            assert_eq!(account.address(), account_address_name(*n));
            assert_eq!(account.state() as i32, i32::from(*state));
            assert_eq!(account.created_at_ms(), *created);
        }
        for n in 0..40 {
            let target = address_name(n);
            let aliases: BTreeSet<_> = map.aliases_to(&target).collect();
            let names = |to: &Result<u32, BTreeSet<u8>>| matches!(to, Err(to) if to.contains(&n));
            let expected = self.addresses.iter().filter(|(_, to)| names(to));
            assert_eq!(aliases, expected.map(|(n, _)| address_name(*n)).collect());
            assert_eq!(
                map.address(&target).is_some(),
                self.addresses.contains_key(&n)
            );
        }
        self.check_domains(map);
    }

    fn check_domains(&self, map: &Map) {
        let listed: Vec<_> = map
            .addresses_after("")
            .map(|address| address.text())
            .collect();
        let mut expected: Vec<_> = (self.addresses.keys())
            .filter(|n| self.domains.contains(&(**n % 3)))
            .map(|n| address_name(*n))
            .collect();
        expected.sort_by_key(|text| {
            let (local, domain) = text.rsplit_once('@').unwrap();
            (domain.to_owned(), local.to_owned())
        });
        assert_eq!(listed, expected);
        for (at, after) in expected.iter().enumerate() {
            let rest = map.addresses_after(after).map(|address| address.text());
            assert!(rest.eq(expected[at + 1..].iter().cloned()), "after {after}");
        }
        for domain in &self.domains {
            let found = map.domain(&format!("d{domain}.example")).unwrap();
            let of = self.addresses.iter().filter(|(n, _)| **n % 3 == *domain);
            let (accounts, aliases): (Vec<_>, Vec<_>) = of.partition(|(_, to)| to.is_ok());
            assert_eq!(found.accounts as usize, accounts.len());
            assert_eq!(found.aliases as usize, aliases.len());
        }
    }
}

proptest! {
    #[test]
    fn is_what_the_keys_say(steps in prop::collection::vec(step(), 1..300)) {
        let (mut map, mut naive) = (Map::default(), Naive::default());
        for step in steps {
            naive.step(&mut map, step);
        }
        naive.check(&map);
    }
}

#[test]
fn what_open_moves_bring_is_counted_by_target() {
    let mut map = Map::default();
    let target: ShardName = "b".parse().unwrap();
    let mut moves = |n: u32, phase: MovePhase, total_bytes, bytes| {
        let record = MoveRecord {
            target: "b".to_owned(),
            phase: phase.into(),
            total_bytes,
            bytes,
            ..MoveRecord::default()
        };
        put(&mut map, &Key::Move(id(n)), &record);
        (map.bringing(&target, id(0)), map.bringing(&target, id(2)))
    };
    assert_eq!(moves(1, MovePhase::Planned, 100, 0), (100, 100));
    assert_eq!(moves(2, MovePhase::Copying, 50, 0), (150, 100));
    assert_eq!(moves(2, MovePhase::Fencing, 50, 20), (130, 100));
    // What is copied is on the disk already; a copy may bring more than was thought.
    assert_eq!(moves(2, MovePhase::Fencing, 50, 60), (100, 100));
    assert_eq!(moves(1, MovePhase::Done, 100, 100), (0, 0));
    assert_eq!(moves(2, MovePhase::Aborted, 50, 0), (0, 0));
}

#[test]
fn moves_are_in_the_order_of_their_addresses() {
    let mut map = Map::default();
    let set = |map: &mut Map, n: u32, address: &str| {
        let record = MoveRecord {
            address: address.to_owned(),
            ..MoveRecord::default()
        };
        put(map, &Key::Move(id(n)), &record);
    };
    let after = |map: &Map, address: &str| -> Vec<AccountId> {
        let moves = map.moves_after(address);
        moves.map(|(account, _)| account).collect()
    };
    set(&mut map, 1, "c@example.org");
    set(&mut map, 2, "a@example.org");
    set(&mut map, 3, "b@example.org");
    assert_eq!(after(&map, ""), [id(2), id(3), id(1)]);
    assert_eq!(after(&map, "a@example.org"), [id(3), id(1)]);
    // The next move of an account takes the place of the one before.
    set(&mut map, 2, "d@example.org");
    assert_eq!(after(&map, ""), [id(3), id(1), id(2)]);
    delete(&mut map, &Key::Move(id(3)));
    assert_eq!(after(&map, ""), [id(1), id(2)]);
}
