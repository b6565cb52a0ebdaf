use prost::Message;
use wire::rpc::Quota;

use super::*;
use crate::model::Key;
use crate::model::records::{
    AccountRecord, AddressRecord, AliasTargets, DomainRecord, OverQuotaRecord, ShardRecord,
    address_record,
};

/// A map and what is put into it by hand.
#[derive(Default)]
struct World {
    map: Map,
    accounts: u8,
}

impl World {
    fn put(&mut self, key: &Key, record: &impl Message) {
        let value = record.encode_to_vec();
        self.map.apply(&key.to_string(), Some(&value)).unwrap();
    }

    fn domain(&mut self, name: &str, separator: &str, postmaster: &str) {
        let record = DomainRecord {
            created_at_ms: i64::try_from(self.map.domain_count()).unwrap(),
            postmaster: postmaster.to_owned(),
            separator: separator.to_owned(),
            closing: false,
        };
        self.put(&Key::Domain(name.to_owned()), &record);
    }

    /// The n-th account has id nn…, was made at n, and is at epoch 5.
    fn account(&mut self, address: &str, state: AccountState) -> AccountId {
        self.accounts += 1;
        let id = AccountId::from_bytes([self.accounts; 16]);
        let record = AccountRecord {
            address: address.to_owned(),
            shard: "shard-1".to_owned(),
            epoch: 5,
            state: state.into(),
            created_at_ms: i64::from(self.accounts),
            quota: Some(Quota::default()),
            ..AccountRecord::default()
        };
        self.put(&Key::Account(id), &record);
        let leads_to = address_record::LeadsTo::Account(id.to_field());
        self.address(address, leads_to);
        id
    }

    fn alias(&mut self, address: &str, targets: &[&str]) {
        let targets = targets.iter().map(|text| (*text).to_owned()).collect();
        let leads_to = address_record::LeadsTo::Alias(AliasTargets { targets });
        self.address(address, leads_to);
    }

    fn address(&mut self, address: &str, leads_to: address_record::LeadsTo) {
        let record = AddressRecord {
            created_at_ms: 1,
            leads_to: Some(leads_to),
        };
        self.put(&Key::Address(address.to_owned()), &record);
    }

    /// The primary addresses that an address leads to, in order.
    fn leads(&self, text: &str) -> Vec<String> {
        let Verdict::Yes(recipients) = address(&self.map, text) else {
            panic!("{text}: {:?}", address(&self.map, text));
        };
        let mut addresses: Vec<_> = recipients.into_iter().map(|it| it.address).collect();
        addresses.sort();
        addresses
    }

    fn verdict(&self, text: &str) -> Verdict {
        address(&self.map, text)
    }
}

fn world() -> World {
    let mut world = World::default();
    world.domain("example.org", "+", "");
    world.account("ana@example.org", AccountState::Active);
    world.account("ben@example.org", AccountState::Active);
    world
}

const UNKNOWN: Verdict = Verdict::No(No::Unknown);
const FOREIGN: Verdict = Verdict::No(No::Foreign);

#[test]
fn every_spelling_of_an_address_is_one() {
    let mut world = world();
    world.domain("xn--bcher-kva.example", "+", "");
    world.account("jörg@xn--bcher-kva.example", AccountState::Active);
    for text in ["ana@example.org", "ANA@Example.ORG", "\"ana\"@example.org"] {
        assert_eq!(world.leads(text), ["ana@example.org"]);
    }
    for text in ["JO\u{308}RG@bücher.example", "jörg@XN--BCHER-KVA.example"] {
        assert_eq!(world.leads(text), ["jörg@xn--bcher-kva.example"]);
    }
}

#[test]
fn the_exact_address_comes_before_the_sub_address() {
    let mut world = world();
    assert_eq!(world.leads("ana+lists@example.org"), ["ana@example.org"]);
    world.alias("ana+lists@example.org", &["ben@example.org"]);
    assert_eq!(world.leads("ana+lists@example.org"), ["ben@example.org"]);
    assert_eq!(world.verdict("+ana@example.org"), UNKNOWN);
}

#[test]
fn the_separator_is_the_domains() {
    let mut world = World::default();
    world.domain("minus.example", "-", "");
    world.domain("none.example", "", "");
    world.account("ana@minus.example", AccountState::Active);
    world.account("ana@none.example", AccountState::Active);
    assert_eq!(world.leads("ana-a@minus.example"), ["ana@minus.example"]);
    assert_eq!(world.verdict("ana+a@minus.example"), UNKNOWN);
    assert_eq!(world.verdict("ana+a@none.example"), UNKNOWN);
}

#[test]
fn an_alias_to_somebody_who_is_not_there_says_so() {
    let mut world = world();
    world.account("old@example.org", AccountState::Removed);
    for missing in ["old@example.org", "gone@example.org", "ana@gone.example"] {
        let name = format!("{}@example.org", missing.replace('@', "-"));
        world.alias(&name, &["ana@example.org", missing]);
        let verdict = world.verdict(&name);
        let Verdict::Partly(recipients) = verdict else {
            panic!("{missing}: {verdict:?}");
        };
        assert_eq!(recipients[0].address, "ana@example.org");
        assert_eq!(recipients.len(), 1);
    }
}

#[test]
fn foreign_and_unknown_are_told_apart() {
    let world = world();
    assert_eq!(world.verdict("nobody@example.org"), UNKNOWN);
    let long = format!("{}@example.org", "a".repeat(65));
    assert_eq!(world.verdict(&long), UNKNOWN);
    for text in [
        "ana@other.example",
        "ana@[192.0.2.1]",
        "ana",
        "",
        "@",
        "a\u{0}@example.org",
    ] {
        assert_eq!(world.verdict(text), FOREIGN, "{text:?}");
    }
}

#[test]
fn an_alias_leads_to_each_account_once() {
    let mut world = world();
    world.alias("all@example.org", &["ana@example.org", "both@example.org"]);
    world.alias(
        "both@example.org",
        &["ana+x@example.org", "ben@example.org"],
    );
    assert_eq!(
        world.leads("all@example.org"),
        ["ana@example.org", "ben@example.org"]
    );
    assert_eq!(world.leads("all+y@example.org").len(), 2);
}

#[test]
fn a_loop_of_aliases_ends() {
    let mut world = world();
    world.alias("one@example.org", &["two@example.org"]);
    world.alias("two@example.org", &["one@example.org"]);
    assert_eq!(world.verdict("one@example.org"), UNKNOWN);
    world.alias("two@example.org", &["one@example.org", "ana@example.org"]);
    assert_eq!(world.leads("one@example.org"), ["ana@example.org"]);
}

#[test]
fn nobody_knows_too_many_addresses_behind_an_alias() {
    let mut world = world();
    for n in 0..=MAX_EXPANSION {
        let next = format!("a{}@example.org", n + 1);
        world.alias(&format!("a{n}@example.org"), &[&next]);
    }
    assert!(matches!(
        world.verdict("a0@example.org"),
        Verdict::NobodyKnows(_)
    ));
}

#[test]
fn only_active_accounts_receive() {
    let mut world = world();
    world.account("new@example.org", AccountState::Creating);
    world.account("old@example.org", AccountState::Removed);
    world.account("gone@example.org", AccountState::Purging);
    assert!(matches!(
        world.verdict("new@example.org"),
        Verdict::NobodyKnows(_)
    ));
    assert_eq!(world.verdict("old@example.org"), UNKNOWN);
    assert_eq!(world.verdict("gone@example.org"), UNKNOWN);
    world.alias("all@example.org", &["ana@example.org", "new@example.org"]);
    assert!(matches!(
        world.verdict("all@example.org"),
        Verdict::NobodyKnows(_)
    ));
    world.alias(
        "all@example.org",
        &["old@example.org", "nobody@example.org"],
    );
    assert_eq!(world.verdict("all@example.org"), UNKNOWN);
}

#[test]
fn postmaster_and_abuse_lead_to_the_first_account() {
    let mut world = world();
    for text in [
        "postmaster@example.org",
        "Abuse@Example.org",
        "postmaster+x@example.org",
    ] {
        assert_eq!(world.leads(text), ["ana@example.org"]);
    }
    world.account("abuse@example.org", AccountState::Active);
    assert_eq!(world.leads("abuse@example.org"), ["abuse@example.org"]);
}

#[test]
fn postmaster_leads_where_the_domain_says() {
    let mut world = world();
    world.domain("named.example", "+", "ben@example.org");
    assert_eq!(world.leads("postmaster@named.example"), ["ben@example.org"]);
    world.domain("itself.example", "+", "postmaster@itself.example");
    world.account("eva@itself.example", AccountState::Active);
    assert_eq!(
        world.leads("postmaster@itself.example"),
        ["eva@itself.example"]
    );
    world.domain("away.example", "+", "away@example.org");
    assert!(matches!(
        world.verdict("abuse@away.example"),
        Verdict::NobodyKnows(_)
    ));
}

#[test]
fn nobody_knows_a_postmaster_before_there_is_an_account() {
    let mut world = World::default();
    assert!(matches!(postmaster(&world.map), Verdict::NobodyKnows(_)));
    world.domain("first.example", "+", "");
    world.domain("example.org", "+", "");
    world.account("ana@example.org", AccountState::Active);
    assert!(matches!(
        world.verdict("postmaster@first.example"),
        Verdict::NobodyKnows(_)
    ));
    assert!(matches!(postmaster(&world.map), Verdict::NobodyKnows(_)));
    world.account("eva@first.example", AccountState::Active);
    let Verdict::Yes(recipients) = postmaster(&world.map) else {
        panic!("{:?}", postmaster(&world.map));
    };
    assert_eq!(recipients[0].address, "eva@first.example");
}

#[test]
fn an_account_is_asked_for_by_id_and_epoch() {
    let mut world = world();
    let ana = AccountId::from_bytes([1; 16]);
    let removed = world.account("old@example.org", AccountState::Removed);
    let creating = world.account("new@example.org", AccountState::Creating);
    assert!(matches!(
        account(&world.map, ana, Epoch(5)),
        Verdict::Yes(_)
    ));
    assert_eq!(account(&world.map, ana, Epoch(6)), Verdict::Behind);
    assert_eq!(
        account(&world.map, removed, Epoch(0)),
        Verdict::No(No::Removed)
    );
    assert!(matches!(
        account(&world.map, creating, Epoch(0)),
        Verdict::NobodyKnows(_)
    ));
    let nobody = AccountId::from_bytes([99; 16]);
    assert_eq!(account(&world.map, nobody, Epoch(0)), UNKNOWN);
}

#[test]
fn a_recipient_has_route_and_quota_flag() {
    let mut world = world();
    let record = ShardRecord {
        rpc_endpoint: "127.0.0.1:1".to_owned(),
        pop3_endpoint: "127.0.0.1:2".to_owned(),
        ..ShardRecord::default()
    };
    world.put(&Key::Shard("shard-1".parse().unwrap()), &record);
    let ana = AccountId::from_bytes([1; 16]);
    world.put(&Key::Quota(ana), &OverQuotaRecord::default());
    let Verdict::Yes(recipients) = world.verdict("ana@example.org") else {
        panic!("ana is there");
    };
    let expected = Route {
        account: ana.to_field(),
        shard: "shard-1".to_owned(),
        epoch: 5,
        rpc_endpoint: "127.0.0.1:1".to_owned(),
        pop3_endpoint: "127.0.0.1:2".to_owned(),
    };
    assert_eq!(recipients[0].route.as_ref(), Some(&expected));
    assert!(recipients[0].over_quota);
    let Verdict::Yes(recipients) = world.verdict("ben@example.org") else {
        panic!("ben is there");
    };
    assert!(!recipients[0].over_quota);
}

#[test]
fn logins_are_primary_addresses() {
    let mut world = world();
    world.alias("a@example.org", &["ana@example.org"]);
    let ana = AccountId::from_bytes([1; 16]);
    assert_eq!(primary(&world.map, "Ana@example.org"), Some(ana));
    for text in [
        "a@example.org",
        "ana+x@example.org",
        "ana",
        "postmaster@example.org",
    ] {
        assert_eq!(primary(&world.map, text), None, "{text}");
    }
}
