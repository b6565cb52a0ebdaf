//! Port 110: nothing secret before TLS, nothing of before after it.

use crate::world::World;

#[tokio::test]
async fn capabilities_follow_tls() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    let before = client.ask_many("CAPA").await;
    assert!(before.contains(&"STLS".to_owned()), "{before:?}");
    assert!(
        !before
            .iter()
            .any(|line| line.starts_with("SASL") || line == "USER"),
        "{before:?}"
    );
    assert_eq!(client.ask("STLS").await, "+OK begin TLS");
    let mut client = client.encrypt(&world.ca_pem).await;
    let after = client.ask_many("CAPA").await;
    assert!(!after.contains(&"STLS".to_owned()), "{after:?}");
    assert!(after.contains(&"SASL PLAIN".to_owned()), "{after:?}");
    assert_eq!(client.ask("STLS").await, "-ERR TLS already stands");
    assert_eq!(client.login().await, "+OK 0 messages");
    assert_eq!(client.ask("QUIT").await, "+OK QUIT");
}

#[tokio::test]
async fn no_password_in_the_clear() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    for line in [
        "USER tim@example.org",
        "PASS x",
        "AUTH PLAIN AHRpbQB0YW5zdGFhZg==",
    ] {
        assert_eq!(client.ask(line).await, "-ERR STLS comes first");
    }
    assert!(world.directory.passwords().is_empty());
}

/// The response injection of CVE-2011-0411 and its like: what an attacker put behind STLS must
/// not be read as said under TLS.
#[tokio::test]
async fn nothing_may_follow_stls() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    client.say("STLS\r\nCAPA\r\n").await;
    assert_eq!(
        client.line().await,
        "-ERR nothing may follow STLS before its answer"
    );
    assert_eq!(client.line().await, "closed");
}

#[tokio::test]
async fn a_failed_handshake_harms_nobody_else() {
    let world = World::new().await;
    let mut client = world.pop3().await;
    assert_eq!(client.ask("STLS").await, "+OK begin TLS");
    client.say("USER tim@example.org\r\nPASS x\r\n").await;
    client.rest().await;
    let mut direct = crate::client::Client::connect(world.pop3s).await;
    direct.say("CAPA\r\n").await;
    direct.rest().await;
    world.logged_in().await;
}
