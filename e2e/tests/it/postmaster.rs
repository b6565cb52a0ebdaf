//! Mail to postmaster and abuse arrives: at the domain's first account, or where `--postmaster` says.

use e2e::ledger::Answer;

use crate::support::{ANA, PASSWORD, TestSite};

const BO: &str = "bo@example.org";

#[tokio::test]
async fn postmaster_is_the_first_account_unless_told() {
    let site = TestSite::empty().await.unwrap();
    site.add_domain("example.org").unwrap();
    let (answer, reply) = site.send(9, "postmaster@example.org").await.unwrap();
    assert_eq!((answer, reply.code), (Answer::Refused, 451), "{reply:?}");
    site.add_account(ANA, PASSWORD).unwrap();
    site.add_account(BO, PASSWORD).unwrap();
    let other = ["domain", "add", "example.com", "--postmaster", BO];
    let domain = site.ask(&other, "").unwrap();
    assert_eq!(domain["postmaster"], BO);
    for (number, to) in [
        (1, "postmaster@example.org"),
        (2, "Abuse@Example.ORG"),
        (3, "postmaster@example.com"),
        (4, "abuse@example.com"),
    ] {
        site.deliver([number], to).await.unwrap();
    }
    assert_eq!(site.numbers(ANA).await.unwrap(), [1, 2]);
    assert_eq!(site.numbers(BO).await.unwrap(), [3, 4]);
}

#[tokio::test]
async fn a_postmaster_is_an_address_of_this_cluster() {
    let site = TestSite::empty().await.unwrap();
    let words = [
        "domain",
        "add",
        "example.org",
        "--postmaster",
        "a@b.example",
    ];
    let refused = site.buzonera(&words, "").unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("b.example"), "{said}");
}
