//! Domains, as administrators see them.

use tonic::Code;
use wire::rpc::{
    AddDomainRequest, DomainName, ListRequest, RemoveAccountRequest, RemoveDomainRequest,
};

use crate::world::{World, id};

fn add(name: &str) -> AddDomainRequest {
    AddDomainRequest {
        request_id: id(),
        name: name.to_owned(),
        ..AddDomainRequest::default()
    }
}

fn remove(name: &str) -> RemoveDomainRequest {
    RemoveDomainRequest {
        request_id: id(),
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn a_domain_is_added_shown_listed_and_removed() {
    let world = World::start().await;
    let mut admin = world.admin();
    let added = admin
        .add_domain(add("Bücher.Example"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(added.name, "xn--bcher-kva.example");
    assert_eq!(
        (added.separator.as_str(), added.postmaster.as_str()),
        ("+", "")
    );
    admin.add_domain(add("example.org")).await.unwrap();

    let name = DomainName {
        name: "bücher.example".to_owned(),
    };
    let shown = admin.show_domain(name.clone()).await.unwrap().into_inner();
    assert_eq!(shown, added);
    let page = ListRequest {
        limit: 1,
        ..ListRequest::default()
    };
    let listed = admin.list_domains(page).await.unwrap().into_inner();
    assert_eq!(listed.domains[0].name, "example.org");
    assert!(listed.more);
    let page = ListRequest {
        after: "example.org".to_owned(),
        ..ListRequest::default()
    };
    let listed = admin.list_domains(page).await.unwrap().into_inner();
    assert_eq!(listed.domains, [added]);
    assert!(!listed.more);

    admin.remove_domain(remove("bücher.example")).await.unwrap();
    assert_eq!(
        admin.show_domain(name).await.unwrap_err().code(),
        Code::NotFound
    );
    let gone = admin
        .remove_domain(remove("bücher.example"))
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_wrong_with_a_domain_is_said() {
    let world = World::start().await;
    let mut admin = world.admin();
    admin.add_domain(add("example.org")).await.unwrap();
    let twice = admin.add_domain(add("EXAMPLE.org")).await.unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    for (name, separator, postmaster, field) in [
        ("", None, "", "name"),
        ("a b.example", None, "", "name"),
        ("[192.0.2.1]", None, "", "name"),
        ("a.example", Some("++"), "", "separator"),
        ("a.example", Some("a"), "", "separator"),
        ("a.example", Some("@"), "", "separator"),
        ("a.example", None, "ana", "postmaster"),
        ("a.example", None, "ana@other.example", "postmaster"),
    ] {
        let request = AddDomainRequest {
            separator: separator.map(str::to_owned),
            postmaster: postmaster.to_owned(),
            ..add(name)
        };
        let status = admin.add_domain(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(
            status.message().starts_with(&format!("{field}: ")),
            "{status}"
        );
    }
    for postmaster in ["hostmaster@a.example", "ana@example.org"] {
        let request = AddDomainRequest {
            postmaster: postmaster.to_owned(),
            separator: Some(String::new()),
            ..add(if postmaster.ends_with("org") {
                "b.example"
            } else {
                "a.example"
            })
        };
        let added = admin.add_domain(request).await.unwrap().into_inner();
        assert_eq!(
            (added.postmaster.as_str(), added.separator.as_str()),
            (postmaster, "")
        );
    }
}

#[tokio::test]
async fn a_domain_with_accounts_stays() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "").await;
    let mut admin = world.admin();
    let refused = admin
        .remove_domain(remove("example.org"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(
        refused.message().contains("has 1 account: remove"),
        "{refused}"
    );
    // It is as open as before.
    world.account("ben@example.org", "").await;
    for address in ["ana@example.org", "ben@example.org"] {
        let request = RemoveAccountRequest {
            request_id: id(),
            address: address.to_owned(),
            purge: false,
        };
        admin.remove_account(request).await.unwrap();
    }
    admin.remove_domain(remove("example.org")).await.unwrap();
    admin.add_domain(add("example.org")).await.unwrap();
}
