//! `--tls`: mail programs see the certificates that were brought, each for its host name.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use e2e::pop3;
use e2e::site::Site;
use kit::authority::Authority;
use wire::ids::ClusterId;

use crate::support::{ANA, PASSWORD, TestSite, no_surprise};

/// Certificates from a CA that Buzonera knows nothing of: one for localhost and, in the same
/// folder, one for another host.
fn bring(folder: &Path) {
    let authority = Authority::create(&folder.join("other-ca"), ClusterId::random()).unwrap();
    let issue = |names: &[&str], to: &str| authority.issue_public(names, &folder.join(to));
    issue(&["localhost", "mail.example.org"], "brought").unwrap();
    issue(&["mail.example.net"], "second").unwrap();
    for file in ["cert.pem", "key.pem"] {
        let named = folder.join(format!("brought/mail.example.net.{file}"));
        fs::rename(folder.join("second").join(file), named).unwrap();
    }
}

#[tokio::test]
async fn mail_programs_see_the_certificates_that_were_brought() {
    let folder = tempfile::tempdir().unwrap();
    bring(folder.path());
    let site = Site::start(folder.path(), &["--tls", "brought"])
        .await
        .unwrap();
    site.add_domain("example.org").unwrap();
    site.add_account(ANA, PASSWORD).unwrap();
    let pop3s = Site::at(site.ports().pop3s);
    let theirs = pop3::trust(&folder.path().join("other-ca/ca.pem")).unwrap();
    let client = pop3::Client::login(pop3s, &theirs, ANA, PASSWORD).await;
    client.unwrap().quit().await.unwrap();
    let own = pop3::trust(&site.ca()).unwrap();
    let refused = pop3::Client::login(pop3s, &own, ANA, PASSWORD).await;
    assert!(refused.is_err(), "our own CA has signed it");
    for host in ["mail.example.org", "mail.example.net"] {
        assert_eq!(
            listed(&folder.path().join("other-ca/ca.pem"), pop3s, host),
            ""
        );
        assert_ne!(listed(&site.ca(), pop3s, host), "");
    }
    // The screen's command for curl does not name our CA any more.
    assert!(
        site.log_tail()
            .contains("curl --user ana@example.org pop3s://")
    );
    no_surprise(&site.surprises().unwrap());
}

/// Reads ana's mailbox by curl under a host's name; what it complains of.
fn listed(ca: &Path, at: SocketAddr, host: &str) -> String {
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(ca)
        .args(["--user", &format!("{ANA}:{PASSWORD}")])
        .args(["--resolve", &format!("{host}:{}:{}", at.port(), at.ip())])
        .arg(format!("pop3s://{host}:{}/", at.port()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&curl.stderr).into_owned()
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let site = TestSite::empty().await.unwrap();
    bring(site.folder());
    let folder = |name: &str, cert: &str, key: &str| {
        let folder = site.folder().join(name);
        fs::create_dir(&folder).unwrap();
        for (from, to) in [(cert, "cert.pem"), (key, "key.pem")] {
            // What is not there is not copied.
            let _ = fs::copy(site.folder().join(from), folder.join(to));
        }
    };
    fs::write(site.folder().join("empty.pem"), "").unwrap();
    let (cert, key) = ("brought/cert.pem", "brought/key.pem");
    folder("bare", "nowhere.pem", key);
    folder("keyless", cert, "nowhere.pem");
    folder("hollow", "empty.pem", key);
    folder("foreign", cert, "other-ca/ca-key.pem");
    for (tls, named) in [
        ("nowhere", "nowhere"),
        ("bare", "no cert.pem"),
        ("keyless", "keyless/key.pem"),
        ("hollow", "hollow/cert.pem"),
        ("foreign", "foreign/cert.pem"),
    ] {
        let ports = e2e::site::Ports::free().unwrap().flags();
        let words = ["local", "--data", "other", "--tls", tls];
        let words = words.into_iter().chain(ports.iter().map(String::as_str));
        let refused = site.buzonera(&words.collect::<Vec<_>>(), "").unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("--tls cannot be used"), "{said}");
        assert!(said.contains(named), "{tls}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
