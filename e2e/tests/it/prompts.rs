//! Questions on a terminal: passwords do not show, two that differ set nothing, and an account is
//! removed only by who types its address again.

use e2e::terminal::{self, Seen};
use e2e::{binaries, pop3, site::Site};

use crate::support::{ANA, PASSWORD, TestSite};

const NEW: &str = "roo roo";

/// Runs `buzonera WORDS` on a terminal; afterwards the terminal says whether it echoes.
fn buzonera(site: &TestSite, words: &str, answers: &[&str]) -> Seen {
    let program = binaries::path("buzonera").unwrap();
    let command = format!(
        "{} {words}; code=$?; stty -a; exit $code",
        program.display()
    );
    let seen = terminal::run(site.folder(), &command, answers).unwrap();
    assert!(seen.screen.contains(" echo "), "{}", seen.screen);
    seen
}

async fn logs_in(site: &TestSite, user: &str, password: &str) -> bool {
    let tls = pop3::trust(&site.ca()).unwrap();
    let address = Site::at(site.ports().pop3s);
    pop3::Client::login(address, &tls, user, password)
        .await
        .is_ok()
}

#[tokio::test]
async fn a_password_is_asked_for_twice_and_does_not_show() {
    let site = TestSite::with_ana().await.unwrap();
    let seen = buzonera(&site, "account passwd ana@example.org", &[NEW, NEW]);
    assert_eq!(seen.code, Some(0), "{}", seen.screen);
    assert!(!seen.screen.contains("roo"), "{}", seen.screen);
    assert!(
        seen.screen.starts_with(
            "Password for ana@example.org: \r\nThe same again: \r\n\
             The password of ana@example.org is set.\r\n"
        ),
        "{}",
        seen.screen
    );
    assert!(logs_in(&site, ANA, NEW).await);
    let seen = buzonera(&site, "account add bo@example.org", &[NEW, NEW]);
    assert_eq!(seen.code, Some(0), "{}", seen.screen);
    assert!(!seen.screen.contains("roo"), "{}", seen.screen);
    assert!(logs_in(&site, "bo@example.org", NEW).await);
}

#[tokio::test]
async fn two_passwords_that_differ_and_an_empty_one_set_nothing() {
    let site = TestSite::with_ana().await.unwrap();
    let seen = buzonera(&site, "account passwd ana@example.org", &[NEW, "roo"]);
    assert_eq!(seen.code, Some(2), "{}", seen.screen);
    let said = "buzonera: The two passwords differ; nothing was changed.";
    assert!(seen.screen.contains(said), "{}", seen.screen);
    let seen = buzonera(&site, "account passwd ana@example.org", &["", ""]);
    assert_eq!(seen.code, Some(2), "{}", seen.screen);
    assert!(
        seen.screen.contains("the password is empty"),
        "{}",
        seen.screen
    );
    let seen = buzonera(&site, "account add bo@example.org", &["one", "other"]);
    assert_eq!(seen.code, Some(2), "{}", seen.screen);
    let bo = site.buzonera(&["account", "show", "bo@example.org"], "");
    assert_eq!(bo.unwrap().status.code(), Some(3));
    assert!(logs_in(&site, ANA, PASSWORD).await);
}

#[tokio::test]
async fn nobody_is_asked_for_the_password_of_an_account_that_is_not_there() {
    let site = TestSite::with_ana().await.unwrap();
    for words in [
        "account passwd no@example.org",
        "account remove no@example.org",
    ] {
        let seen = buzonera(&site, words, &[]);
        assert_eq!(seen.code, Some(3), "{}", seen.screen);
        assert!(!seen.screen.contains("assword for"), "{}", seen.screen);
        assert!(!seen.screen.contains("again: "), "{}", seen.screen);
    }
}

#[tokio::test]
async fn an_account_is_removed_by_who_types_its_address_again() {
    let site = TestSite::with_ana().await.unwrap();
    for wrong in ["", "ana", "an@example.org"] {
        let seen = buzonera(&site, "account remove ana@example.org", &[wrong]);
        assert_eq!(seen.code, Some(1), "{}", seen.screen);
        let said = "buzonera: That is not the same address; nothing was removed.";
        assert!(seen.screen.contains(said), "{}", seen.screen);
    }
    assert!(logs_in(&site, ANA, PASSWORD).await);
    let seen = buzonera(&site, "account remove ana@example.org", &[ANA]);
    assert_eq!(seen.code, Some(0), "{}", seen.screen);
    assert!(
        seen.screen.contains("keeps its mail for 7 days"),
        "{}",
        seen.screen
    );
    assert!(!logs_in(&site, ANA, PASSWORD).await);
}
