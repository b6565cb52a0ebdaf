//! `--tls-cert` and `--tls-key`: mail programs see the certificate that was brought.

use std::fs;
use std::path::Path;

use e2e::pop3;
use e2e::site::Site;
use kit::authority::Authority;
use wire::ids::ClusterId;

use crate::support::{ANA, PASSWORD, TestSite, no_surprise};

/// A certificate for localhost from a CA that Buzonera knows nothing of.
fn bring(folder: &Path) {
    let authority = Authority::create(&folder.join("other-ca"), ClusterId::random()).unwrap();
    let names = ["localhost", "mail.example.org"];
    authority
        .issue_public(&names, &folder.join("brought"))
        .unwrap();
}

#[tokio::test]
async fn mail_programs_see_the_certificate_that_was_brought() {
    let folder = tempfile::tempdir().unwrap();
    bring(folder.path());
    let flags = [
        "--tls-cert",
        "brought/cert.pem",
        "--tls-key",
        "brought/key.pem",
    ];
    let site = Site::start(folder.path(), &flags).await.unwrap();
    site.add_domain("example.org").unwrap();
    site.add_account(ANA, PASSWORD).unwrap();
    let pop3s = Site::at(site.ports().pop3s);
    let theirs = pop3::trust(&folder.path().join("other-ca/ca.pem")).unwrap();
    let client = pop3::Client::login(pop3s, &theirs, ANA, PASSWORD).await;
    client.unwrap().quit().await.unwrap();
    let own = pop3::trust(&site.ca()).unwrap();
    let refused = pop3::Client::login(pop3s, &own, ANA, PASSWORD).await;
    assert!(refused.is_err(), "our own CA has signed it");
    // The screen's command for curl does not name our CA any more.
    assert!(
        site.log_tail()
            .contains("curl --user ana@example.org pop3s://")
    );
    no_surprise(&site.surprises().unwrap());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let site = TestSite::empty().await.unwrap();
    bring(site.folder());
    fs::write(site.folder().join("empty.pem"), "").unwrap();
    for (cert, key, named) in [
        ("nowhere.pem", "brought/key.pem", "nowhere.pem"),
        ("brought/cert.pem", "nowhere.pem", "nowhere.pem"),
        ("empty.pem", "brought/key.pem", "empty.pem"),
        ("brought/cert.pem", "other-ca/ca-key.pem", "--tls-cert"),
    ] {
        let ports = e2e::site::Ports::free().unwrap().flags();
        let words = [
            "local",
            "--data",
            "other",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ];
        let words = words.into_iter().chain(ports.iter().map(String::as_str));
        let refused = site.buzonera(&words.collect::<Vec<_>>(), "").unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("--tls-cert and --tls-key"), "{said}");
        assert!(said.contains(named), "{cert} {key}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
