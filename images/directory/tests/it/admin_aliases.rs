//! Aliases, as administrators see them.

use tonic::Code;
use wire::rpc::{
    AddAliasRequest, AddressName, ListRequest, RemoveAccountRequest, RemoveAliasRequest,
};

use crate::world::{World, id};

fn add(address: &str, targets: &[&str]) -> AddAliasRequest {
    AddAliasRequest {
        request_id: id(),
        address: address.to_owned(),
        targets: targets.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn name(address: &str) -> AddressName {
    AddressName {
        address: address.to_owned(),
    }
}

async fn world() -> (World, crate::world::Shard) {
    let world = World::start().await;
    let shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "").await;
    world.account("ben@example.org", "").await;
    (world, shard)
}

#[tokio::test]
async fn an_alias_is_added_shown_listed_and_removed() {
    let (world, _shard) = world().await;
    let mut admin = world.admin();
    let targets = ["ANA@example.org", "ben+x@example.org", "ana@example.org"];
    let added = admin
        .add_alias(add("All@Example.org", &targets))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(added.address, "all@example.org");
    assert_eq!(added.targets, ["ana@example.org", "ben+x@example.org"]);
    let shown = admin
        .show_alias(name("all@example.org"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown, added);
    let listed = admin
        .list_aliases(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.aliases, [added]);
    let ana = admin
        .show_account(name("ana@example.org"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ana.aliases, ["all@example.org"]);

    let request = RemoveAliasRequest {
        request_id: id(),
        address: "all@example.org".to_owned(),
    };
    admin.remove_alias(request).await.unwrap();
    let gone = admin.show_alias(name("all@example.org")).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_wrong_with_an_alias_is_said() {
    let (world, _shard) = world().await;
    let mut admin = world.admin();
    admin
        .add_alias(add("one@example.org", &["ana@example.org"]))
        .await
        .unwrap();
    let many: Vec<_> = (0..101).map(|n| format!("a{n}@example.org")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (request, code, word) in [
        (
            add("a@example.org", &[]),
            Code::InvalidArgument,
            "targets: ",
        ),
        (
            add("a@example.org", &many),
            Code::InvalidArgument,
            "targets: ",
        ),
        (
            add("a@example.org", &["x@other.example"]),
            Code::InvalidArgument,
            "outside",
        ),
        (
            add("a@example.org", &["x@example.org"]),
            Code::NotFound,
            "does not exist",
        ),
        (
            add("a@example.org", &["a@example.org"]),
            Code::InvalidArgument,
            "lead back",
        ),
        (
            add("ana@example.org", &["ben@example.org"]),
            Code::AlreadyExists,
            "is an account",
        ),
        (
            add("one@example.org", &["ben@example.org"]),
            Code::AlreadyExists,
            "is an alias",
        ),
        (
            add("a@other.example", &["ana@example.org"]),
            Code::NotFound,
            "other.example",
        ),
    ] {
        let status = admin.add_alias(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(word), "{status}");
    }
    let account = admin.show_alias(name("ana@example.org")).await.unwrap_err();
    assert_eq!(account.code(), Code::FailedPrecondition, "{account}");
}

#[tokio::test]
async fn a_loop_is_refused_also_through_an_address_that_went_away() {
    let (world, _shard) = world().await;
    let mut admin = world.admin();
    admin
        .add_alias(add("one@example.org", &["ben@example.org"]))
        .await
        .unwrap();
    admin
        .add_alias(add("two@example.org", &["one@example.org"]))
        .await
        .unwrap();
    let request = RemoveAccountRequest {
        request_id: id(),
        address: "ben@example.org".to_owned(),
        purge: false,
    };
    admin.remove_account(request).await.unwrap();
    let request = add("ben@example.org", &["two@example.org"]);
    let status = admin.add_alias(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("lead back"), "{status}");
}

#[tokio::test]
async fn a_chain_has_a_bound() {
    let (world, _shard) = world().await;
    let mut admin = world.admin();
    let mut last = "ana@example.org".to_owned();
    let mut made = 0;
    let status = loop {
        let next = format!("chain{made}@example.org");
        match admin.add_alias(add(&next, &[&last])).await {
            Ok(_) => made += 1,
            Err(status) => break status,
        }
        last = next;
    };
    assert_eq!(made, 10);
    assert!(status.message().contains("in a row"), "{status}");
}
