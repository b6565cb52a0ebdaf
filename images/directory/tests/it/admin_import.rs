//! Many accounts at once, and the same request twice.

use tonic::Code;
use wire::rpc::{
    AddAccountRequest, AddDomainRequest, ImportAccountsRequest, ImportRow, ListRequest,
};

use crate::world::{World, id};

fn row(address: &str, aliases: &[&str]) -> ImportRow {
    ImportRow {
        address: address.to_owned(),
        password: b"secret".to_vec().into(),
        quota: None,
        aliases: aliases.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn import(rows: Vec<ImportRow>) -> ImportAccountsRequest {
    ImportAccountsRequest {
        request_id: id(),
        rows,
        check_only: false,
    }
}

async fn count(world: &World) -> usize {
    let page = world
        .admin()
        .list_accounts(ListRequest::default())
        .await
        .unwrap();
    page.into_inner().accounts.len()
}

#[tokio::test]
async fn good_rows_are_written_and_bad_ones_named() {
    let world = World::start().await;
    let _first = world.shard("shard-1").await;
    let _second = world.shard("shard-2").await;
    world.domain("example.org").await;
    world.account("taken@example.org", "").await;
    let mut rows: Vec<_> = (0..100)
        .map(|n| row(&format!("u{n}@example.org"), &[]))
        .collect();
    rows[7].aliases = vec!["seven@example.org".to_owned()];
    for (address, aliases) in [
        ("u1@Example.org", &[][..]),
        ("taken@example.org", &[]),
        ("x@other.example", &[]),
        ("x", &[]),
        ("y@example.org", &["taken@example.org"]),
        ("z@example.org", &["z@other.example"]),
    ] {
        rows.push(row(address, aliases));
    }
    let request = import(rows);
    let check = ImportAccountsRequest {
        check_only: true,
        request_id: id(),
        ..request.clone()
    };
    let checked = world
        .admin()
        .import_accounts(check)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(count(&world).await, 1);
    let done = world
        .admin()
        .import_accounts(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(checked, done);
    for (at, result) in done.results.iter().enumerate() {
        assert_eq!(result.error.is_empty(), at < 100, "{at}: {}", result.error);
    }
    assert_eq!(count(&world).await, 101);
    let shards = world
        .admin()
        .list_shards(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    let counts: Vec<_> = shards.shards.iter().map(|shard| shard.accounts).collect();
    assert!(
        counts.iter().all(|count| (45..=56).contains(count)),
        "{counts:?}"
    );

    let again = world
        .admin()
        .import_accounts(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, done);
    assert_eq!(count(&world).await, 101);
}

#[tokio::test]
async fn an_import_has_at_most_a_thousand_rows() {
    let world = World::start().await;
    let rows = vec![row("a@example.org", &[]); 1001];
    let status = world
        .admin()
        .import_accounts(import(rows))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_the_same_write() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let request = AddAccountRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        ..AddAccountRequest::default()
    };
    let mut admin = world.admin();
    let first = admin
        .add_account(request.clone())
        .await
        .unwrap()
        .into_inner();
    let second = admin
        .add_account(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, second);
    let other = AddAccountRequest {
        address: "ben@example.org".to_owned(),
        ..request.clone()
    };
    let status = admin.add_account(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().starts_with("request_id: "), "{status}");
    let other = AddDomainRequest {
        request_id: request.request_id,
        name: "a.example".to_owned(),
        ..AddDomainRequest::default()
    };
    let status = admin.add_domain(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn of_many_who_want_one_address_one_gets_it() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    let attempts = (0..8).map(|_| {
        let mut admin = world.admin();
        tokio::spawn(async move {
            let request = AddAccountRequest {
                request_id: id(),
                address: "ana@example.org".to_owned(),
                ..AddAccountRequest::default()
            };
            admin
                .add_account(request)
                .await
                .map_err(|status| status.code())
        })
    });
    let mut made = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(_) => made += 1,
            Err(code) => assert_eq!(code, Code::AlreadyExists),
        }
    }
    assert_eq!(made, 1);
}
