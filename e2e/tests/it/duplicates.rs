//! Exactly once: the same message sent again makes no second copy, altered octets do.

use e2e::ledger::Answer;
use e2e::message::compose;

use crate::support::{ANA, FROM, TestSite};

#[tokio::test]
async fn a_retry_is_answered_250_and_stored_once() {
    let mut site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let (answer, reply) = site.send(1, ANA).await.unwrap();
    assert_eq!(answer, Answer::Accepted);
    assert!(reply.text.contains("duplicate"), "{}", reply.text);
    site.kill().unwrap();
    site.start_again().await.unwrap();
    let (_, reply) = site.send(1, ANA).await.unwrap();
    assert!(reply.text.contains("duplicate"), "{}", reply.text);
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_retry_after_its_first_copy_was_deleted_makes_no_second() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let mut client = site.login(ANA).await.unwrap();
    client.ask("DELE 1").await.unwrap();
    client.quit().await.unwrap();
    let (_, reply) = site.send(1, ANA).await.unwrap();
    assert!(reply.text.contains("duplicate"), "{}", reply.text);
    assert!(site.numbers(ANA).await.unwrap().is_empty());
}

#[tokio::test]
async fn altered_octets_are_a_new_message() {
    let site = TestSite::with_ana().await.unwrap();
    let text = compose(1, FROM, ANA, 1000);
    for text in [text.clone(), format!("{text}one more line\r\n")] {
        let (answer, reply) = site.send_text(ANA, &text).await.unwrap();
        assert_eq!(answer, Answer::Accepted);
        assert!(!reply.text.contains("duplicate"), "{}", reply.text);
    }
    assert_eq!(site.numbers(ANA).await.unwrap(), [1, 1]);
}

#[tokio::test]
async fn several_addresses_of_one_account_get_one_copy() {
    let site = TestSite::with_ana().await.unwrap();
    site.ask(&["alias", "add", "letters@example.org", ANA], "")
        .unwrap();
    let smtp = e2e::site::Site::at(site.ports().smtp);
    let mut client = e2e::smtp::Client::connect(smtp, "EHLO client.example.net")
        .await
        .unwrap();
    for line in [
        "MAIL FROM:<keeper@example.net>",
        "RCPT TO:<ana@example.org>",
        "RCPT TO:<letters@example.org>",
        "RCPT TO:<Ana+list@EXAMPLE.org>",
    ] {
        client.say(line).await.unwrap();
        client.expect(250).await.unwrap();
    }
    client.say("DATA").await.unwrap();
    client.expect(354).await.unwrap();
    let text = format!("{}.\r\n", compose(1, FROM, ANA, 1000));
    client.write(text.as_bytes()).await.unwrap();
    client.expect(250).await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
}
