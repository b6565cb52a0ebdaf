//! LMTP: one reply per accepted recipient, each its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use buzonera_mx::Mx;
use kit::admin::Admin;
use kit::authority::Authority;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;

use crate::harness::{Client, Mood, World};

#[tokio::test]
async fn each_recipient_has_its_own_outcome() {
    let world = World::with(|config| {
        config.timeouts.lmtp_answer = Duration::from_millis(500);
    })
    .await;
    world.account("stored@ours.example", 0);
    let retry = world.account("retry@ours.example", 0);
    let hangs = world.account("hangs@ours.example", 1);
    let gone = world.account("gone@ours.example", 0);
    world.shards[0].set_mood(retry, Mood::Retry);
    world.shards[1].set_mood(hangs, Mood::Hangs);
    let never = world.account("never@ours.example", 0);
    world.shards[0].set_mood(gone, Mood::Moved(2));
    world.shards[0].set_mood(never, Mood::Never);
    let mut client = world.lmtp_client().await;
    client.ask("MAIL FROM:<>", "250").await;
    for (recipient, answer) in [
        ("hangs", "250"),
        ("nobody", "550 5.1.1"),
        ("stored", "250"),
        ("gone", "250"),
        ("retry", "250"),
        ("never", "250"),
        ("stored", "250"),
    ] {
        client
            .ask(&format!("RCPT TO:<{recipient}@ours.example>"), answer)
            .await;
    }
    world.directory.remove(gone);
    client.ask("DATA", "354").await;
    client.send("Message-ID: <1@x>\r\n\r\nbody\r\n.\r\n").await;
    for answer in [
        "451 4.3.0",
        "250 2.0.0",
        "550 5.2.1",
        "451 4.3.0",
        "554 5.2.0",
        "250 2.0.0",
    ] {
        client.expect(answer).await;
    }
    client.ask("QUIT", "221").await;
    assert_eq!(world.shards[0].kept().len(), 1);
    assert!(world.shards[0].kept()[0].text().contains("with LMTP id"));
}

#[tokio::test]
async fn refused_bodies_are_refused_for_each() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    world.account("b@ours.example", 0);
    let mut client = world.lmtp_client().await;
    client.ask("EHLO c", "500 5.5.1").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("DATA", "503 5.5.1").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    client.ask("RCPT TO:<b@ours.example>", "250").await;
    client.send("BDAT 3 LAST\r\na\nb").await;
    client.expect("550 5.6.0").await;
    client.expect("550 5.6.0").await;
    client.ask("NOOP", "250").await;
}

#[tokio::test]
async fn from_elsewhere_only_with_a_certificate_of_the_ca_that_is_named() {
    let senders = Senders::new();
    let strangers = Senders::new();
    let world = World::with(|config| config.lmtp_client_ca = Some(senders.ca())).await;
    let mut plain = Client::connect(world.lmtp).await;
    plain.send("LHLO c\r\n").await;
    // A TLS alert at best; never a greeting.
    let said = plain.reply_octets().await;
    assert!(!said.starts_with(b"2"), "{said:?}");
    for other in [None, Some(strangers.folder("relay"))] {
        assert_eq!(said_to(&world, other.as_deref()).await, b"", "{other:?}");
    }
    let relay = senders.folder("relay");
    let mut client = world.lmtp_over_tls(Some(&relay)).await.unwrap();
    client.expect("220 mx.example LMTP").await;
    let reply = client.ask("LHLO c", "250 ").await;
    assert!(!reply.contains("STARTTLS"));
}

/// Somebody else's CA, and what it certified.
struct Senders {
    home: tempfile::TempDir,
    authority: Authority,
}

impl Senders {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::create(home.path(), ClusterId::random()).unwrap();
        Self { home, authority }
    }

    fn ca(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// A folder with the certificate of a sender.
    fn folder(&self, sender: &str) -> PathBuf {
        let identity = Identity::new(self.authority.cluster(), Tier::Admin, sender).unwrap();
        let folder = self.home.path().join(sender);
        self.authority.issue(&identity, &folder).unwrap();
        folder
    }
}

/// What is said to whoever has the certificate in a folder.
async fn said_to(world: &World, folder: Option<&Path>) -> Vec<u8> {
    match world.lmtp_over_tls(folder).await {
        Ok(mut client) => client.reply_octets().await,
        Err(_) => Vec::new(),
    }
}

/// A CA that is not there yet stands in nobody's way but LMTP's.
#[tokio::test]
async fn without_the_ca_nobody_comes_in_and_the_rest_serves() {
    let senders = Senders::new();
    let relay = senders.folder("relay");
    let missing = relay.join("not-there.pem");
    let world = World::with(|config| config.lmtp_client_ca = Some(missing)).await;
    assert_eq!(said_to(&world, Some(&relay)).await, b"");
    Client::connect(world.smtp).await.expect("220").await;
}

#[tokio::test]
async fn without_certificates_it_stays_on_loopback() {
    let world = World::new().await;
    let mut config = world.config.clone();
    config.lmtp_listen = Some("0.0.0.0:0".parse().unwrap());
    let refused = kit::frame::bind::<Mx>(config, &Admin::default(), &world.shutdown).await;
    assert!(matches!(refused, Err(buzonera_mx::Error::ExposedLmtp(_))));
}
