//! Accounts as other tests need them, and the rules of the state machine.

use wire::ids::AccountId;

use super::*;

pub(crate) fn owner(epoch: u64) -> Account {
    let mut slot = None;
    let created = proto::Created {
        epoch,
        uid_validity: 1000,
        limits: None,
    };
    Account::apply(&mut slot, &Change::Created(created)).unwrap();
    slot.unwrap()
}

pub(crate) fn held(holding: Holding, epoch: u64, move_id: Option<MoveId>) -> Account {
    let mut slot = Some(owner(epoch));
    let ownership = proto::Ownership {
        epoch,
        holding: holding.into(),
        move_id: move_id.map(MoveId::to_field).unwrap_or_default(),
        peer: "other".to_owned(),
    };
    Account::apply(&mut slot, &Change::Ownership(ownership)).unwrap();
    slot.unwrap()
}

fn deliver(account: &mut Account, octets: u64) -> Target {
    let (uid, modseq) = account.next_message(INBOX).unwrap();
    let target = Target {
        account: AccountId::from_bytes([1; 16]),
        mailbox: INBOX,
        uid,
        modseq,
        prefix_length: 0,
    };
    account.apply_target(&target, octets).unwrap();
    target
}

#[test]
fn uids_never_return() {
    let mut account = owner(1);
    assert_eq!(deliver(&mut account, 10).uid, 1);
    let second = deliver(&mut account, 20);
    let expunged = proto::Expunged {
        mailbox: INBOX,
        uids: vec![second.uid],
        modseq: 3,
        octets: 20,
    };
    let mut slot = Some(account);
    Account::apply(&mut slot, &Change::Expunged(expunged)).unwrap();
    let mut account = slot.unwrap();
    let left = Usage {
        octets: 10,
        messages: 1,
    };
    assert_eq!(account.usage(), left);
    let third = deliver(&mut account, 5);
    assert_eq!((third.uid, third.modseq), (3, 4));
}

#[test]
fn the_last_uid_is_not_given() {
    let mut account = owner(1);
    account.mailboxes.get_mut(&INBOX).unwrap().uid_next = u32::MAX;
    assert_eq!(account.next_message(INBOX), Err(Exhausted));
}

#[test]
fn a_record_out_of_order_is_refused() {
    let mut account = owner(1);
    let target = deliver(&mut account, 10);
    assert!(account.apply_target(&target, 10).is_err());
    let mut slot = Some(account);
    let older = proto::Ownership {
        epoch: 0,
        holding: Holding::Fenced.into(),
        ..proto::Ownership::default()
    };
    assert!(Account::apply(&mut slot, &Change::Ownership(older)).is_err());
    let created = Change::Created(proto::Created::default());
    assert!(Account::apply(&mut slot, &created).is_err());
    assert!(Account::apply(&mut None, &Change::Limits(proto::Limits::default())).is_err());
}

#[test]
fn over_quota_by_octets_or_messages() {
    let mut account = owner(1);
    deliver(&mut account, 10);
    deliver(&mut account, 10);
    for (bytes, messages, over) in [(0, 0, false), (20, 2, false), (19, 0, true), (0, 1, true)] {
        account.limits = proto::Limits { bytes, messages };
        assert_eq!(account.is_over_quota(), over, "{bytes} {messages}");
    }
}

#[test]
fn building_and_tombstone_start_empty() {
    for holding in [Holding::Building, Holding::Tombstone] {
        let account = held(holding, 3, None);
        assert!(account.mailboxes.is_empty());
        assert_eq!(account.epoch, Epoch(3));
    }
    assert_eq!(held(Holding::Fenced, 3, None).mailboxes.len(), 1);
}

#[test]
fn an_account_begins_anew_with_what_is_there() {
    let renewed = |epoch| {
        Change::Renewed(proto::Renewed {
            epoch,
            uid_validity: 5000,
        })
    };
    use Holding::{Building, Fenced, Owner, Released, Suspended, Tombstone};
    for holding in [Owner, Fenced, Suspended, Released, Building, Tombstone] {
        let mut slot = Some(held(holding, 5, None));
        let before = slot.clone();
        assert!(Account::apply(&mut slot, &renewed(5)).is_err());
        assert_eq!(slot, before, "{holding:?}");
        Account::apply(&mut slot, &renewed(6)).unwrap();
        let account = slot.unwrap();
        assert_eq!((account.holding, account.epoch), (Owner, Epoch(6)));
        assert!(!account.is_void(5000), "{holding:?}");
        assert!(account.next_uid_validity > 5000);
        let before = before.unwrap();
        let kept = account.mailboxes[&INBOX].uid_next;
        match before.has_data() {
            true => assert_eq!(account.mailboxes.len(), before.mailboxes.len()),
            false => assert_eq!(kept, 1, "{holding:?}"),
        }
    }
}
