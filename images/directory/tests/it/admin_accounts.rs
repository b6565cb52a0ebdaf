//! Accounts, as administrators see them.

use std::time::Duration;

use tonic::Code;
use wire::rpc::{
    Account, AccountState, AddAccountRequest, AddShardRequest, AddressName, ListRequest, Quota,
    RemoveAccountRequest, RestoreAccountRequest, SetPasswordRequest, SetQuotaRequest,
};

use crate::world::{World, id, until};

const ANA: &str = "ana@example.org";

fn add(address: &str) -> AddAccountRequest {
    AddAccountRequest {
        request_id: id(),
        address: address.to_owned(),
        ..AddAccountRequest::default()
    }
}

fn remove(address: &str, purge: bool) -> RemoveAccountRequest {
    RemoveAccountRequest {
        request_id: id(),
        address: address.to_owned(),
        purge,
    }
}

fn restore(address: &str, as_address: &str) -> RestoreAccountRequest {
    RestoreAccountRequest {
        request_id: id(),
        address: address.to_owned(),
        as_address: as_address.to_owned(),
    }
}

async fn show(world: &World, address: &str) -> Option<Account> {
    let name = AddressName {
        address: address.to_owned(),
    };
    match world.admin().show_account(name).await {
        Ok(account) => Some(account.into_inner()),
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            None
        }
    }
}

fn account_id(account: &Account) -> &[u8] {
    &account.route.as_ref().unwrap().account
}

fn epoch(account: &Account) -> u64 {
    account.route.as_ref().unwrap().epoch
}

#[tokio::test]
async fn an_account_is_active_once_its_shard_has_it() {
    let world = World::start().await;
    let shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let request = AddAccountRequest {
        password: b"secret".to_vec().into(),
        quota: Some(Quota {
            bytes: 1000,
            messages: 10,
        }),
        ..add("Ana@Example.org")
    };
    let made = world
        .admin()
        .add_account(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.state(), AccountState::Active);
    assert!(!made.pending && made.has_password);
    assert_eq!(made.address, ANA);
    assert_eq!(
        made.quota,
        Some(Quota {
            bytes: 1000,
            messages: 10
        })
    );
    let route = made.route.clone().unwrap();
    assert_eq!((route.shard.as_str(), route.epoch), ("shard-1", 1));
    assert_eq!(route.rpc_endpoint, "127.0.0.1:1");
    assert_eq!(made.placement, "LeastLoaded of 1");
    assert_eq!(show(&world, ANA).await, Some(made));
    let told = shard.told.lock();
    assert_eq!(told[0].state(), AccountState::Creating);
}

#[tokio::test]
async fn an_account_of_a_shard_that_is_away_is_creating() {
    let change = |config: &mut buzonera_directory::Config| {
        config.admin.create_wait = Duration::from_millis(50);
    };
    let world = World::start_with(change).await;
    world.domain("example.org").await;
    let shard = AddShardRequest {
        request_id: id(),
        name: "shard-1".to_owned(),
    };
    world.admin().add_shard(shard).await.unwrap();
    let made = world
        .admin()
        .add_account(add(ANA))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.state(), AccountState::Creating);
    assert!(made.pending);
    // When the shard comes, the order is still there.
    let _shard = world.shard("shard-1").await;
    until("Active", || async {
        show(&world, ANA)
            .await
            .filter(|it| it.state() == AccountState::Active)
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_said() {
    let world = World::start().await;
    let mut admin = world.admin();
    world.domain("example.org").await;
    let none = admin.add_account(add(ANA)).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition, "{none}");
    assert!(none.message().contains("no shard"), "{none}");
    let _shard = world.shard("shard-1").await;
    world.account(ANA, "").await;
    let on = |shard: &str| AddAccountRequest {
        shard: shard.to_owned(),
        ..add("ben@example.org")
    };
    let long = AddAccountRequest {
        password: vec![b'a'; 1025].into(),
        ..add("ben@example.org")
    };
    let no_id = AddAccountRequest {
        request_id: Default::default(),
        ..add("ben@example.org")
    };
    for (request, code, word) in [
        (add("ANA@example.org"), Code::AlreadyExists, "is an account"),
        (add("ana"), Code::InvalidArgument, "address: "),
        (
            add("ana@other.example"),
            Code::NotFound,
            "buzonera domain add other.example",
        ),
        (on("Shard"), Code::InvalidArgument, "shard: "),
        (on("shard-9"), Code::NotFound, "shard-9"),
        (long, Code::InvalidArgument, "password: "),
        (no_id, Code::InvalidArgument, "request_id: "),
    ] {
        let status = admin.add_account(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(word), "{status}");
    }
    let password = SetPasswordRequest {
        request_id: id(),
        address: ANA.to_owned(),
        ..SetPasswordRequest::default()
    };
    let empty = admin.set_password(password).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument, "{empty}");
}

#[tokio::test]
async fn a_quota_is_set_and_reaches_the_shard() {
    let world = World::start().await;
    let shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account(ANA, "").await;
    let quota = Quota {
        bytes: 77,
        messages: 0,
    };
    let request = SetQuotaRequest {
        request_id: id(),
        address: ANA.to_owned(),
        quota: Some(quota),
    };
    let set = world.admin().set_quota(request).await.unwrap().into_inner();
    assert_eq!(set.quota, Some(quota));
    let told = || async {
        let told = shard.told.lock();
        told.iter()
            .any(|entry| entry.quota == Some(quota))
            .then_some(())
    };
    until("the shard knows the quota", told).await;
}

#[tokio::test]
async fn accounts_are_listed_in_pages_by_domain() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    let mut expected = Vec::new();
    for domain in ["a.example", "b.example"] {
        world.domain(domain).await;
        for local in ["x", "y", "z"] {
            let address = format!("{local}@{domain}");
            world.account(&address, "").await;
            expected.push(address);
        }
    }
    let mut listed = Vec::new();
    loop {
        let request = ListRequest {
            after: listed.last().cloned().unwrap_or_default(),
            limit: 2,
            filter: String::new(),
        };
        let page = world
            .admin()
            .list_accounts(request)
            .await
            .unwrap()
            .into_inner();
        listed.extend(page.accounts.into_iter().map(|account| account.address));
        if !page.more {
            break;
        }
    }
    assert_eq!(listed, expected);
    for (after, rest) in [("", &expected[3..]), ("x@b.example", &expected[4..])] {
        let request = ListRequest {
            after: after.to_owned(),
            limit: 0,
            filter: "b.example".to_owned(),
        };
        let page = world
            .admin()
            .list_accounts(request)
            .await
            .unwrap()
            .into_inner();
        let addresses: Vec<_> = page.accounts.into_iter().map(|it| it.address).collect();
        assert_eq!(addresses, rest, "{after}");
    }
}

#[tokio::test]
async fn a_removed_account_is_suspended_kept_and_restored() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let made = world.account(ANA, "secret").await;
    let removed = world
        .admin()
        .remove_account(remove(ANA, false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(removed.state(), AccountState::Removed);
    assert!(removed.pending && removed.removed_at_ms > 0);
    assert_eq!(epoch(&removed), epoch(&made) + 1);
    until("the shard confirms", || async {
        show(&world, ANA).await.filter(|account| !account.pending)
    })
    .await;
    let again = world
        .admin()
        .remove_account(remove(ANA, false))
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::NotFound, "{again}");
    assert!(again.message().contains("--purge"), "{again}");
    let former = ListRequest {
        filter: "removed".to_owned(),
        ..ListRequest::default()
    };
    let former = world
        .admin()
        .list_accounts(former)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(former.accounts.len(), 1);

    let back = world
        .admin()
        .restore_account(restore(ANA, ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(back.state(), AccountState::Active);
    assert_eq!(account_id(&back), account_id(&made));
    assert_eq!(epoch(&back), epoch(&made) + 2);
    assert!(back.has_password && back.removed_at_ms == 0);
    let twice = world
        .admin()
        .restore_account(restore(ANA, ""))
        .await
        .unwrap_err();
    assert_eq!(twice.code(), Code::NotFound, "{twice}");
}

#[tokio::test]
async fn an_address_made_again_is_another_account() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let first = world.account(ANA, "").await;
    world
        .admin()
        .remove_account(remove(ANA, false))
        .await
        .unwrap();
    let second = world.account(ANA, "").await;
    assert_ne!(account_id(&first), account_id(&second));
    let taken = world
        .admin()
        .restore_account(restore(ANA, ""))
        .await
        .unwrap_err();
    assert_eq!(taken.code(), Code::FailedPrecondition, "{taken}");
    assert!(taken.message().contains("--as ADDRESS"), "{taken}");
    let other = "ana.old@example.org";
    let back = world
        .admin()
        .restore_account(restore(ANA, other))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (back.address.as_str(), account_id(&back)),
        (other, account_id(&first))
    );
    assert_eq!(
        account_id(&show(&world, ANA).await.unwrap()),
        account_id(&second)
    );
}

#[tokio::test]
async fn a_purged_account_is_gone_once_its_shard_has_dropped_it() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    for removed_first in [false, true] {
        world.account(ANA, "secret").await;
        if removed_first {
            world
                .admin()
                .remove_account(remove(ANA, false))
                .await
                .unwrap();
        }
        let purged = world
            .admin()
            .remove_account(remove(ANA, true))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(purged.state(), AccountState::Purging);
        until("gone", || async {
            show(&world, ANA).await.is_none().then_some(())
        })
        .await;
        let gone = world
            .admin()
            .restore_account(restore(ANA, ""))
            .await
            .unwrap_err();
        assert_eq!(gone.code(), Code::NotFound, "{gone}");
    }
}

#[tokio::test]
async fn a_removed_account_is_purged_after_its_time() {
    let change = |config: &mut buzonera_directory::Config| {
        config.admin.keep_removed = Duration::from_millis(10);
        config.admin.sweep = Duration::from_millis(20);
    };
    let world = World::start_with(change).await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account(ANA, "").await;
    world
        .admin()
        .remove_account(remove(ANA, false))
        .await
        .unwrap();
    until("gone", || async {
        show(&world, ANA).await.is_none().then_some(())
    })
    .await;
}
