//! An MX that is to go: it lets nobody in, and its spool empties.

use kit::rpc::{Channel, ChannelOptions, channel};
use kit::services::spool_admin_client::SpoolAdminClient;
use kit::tls::Credentials;
use tonic::Code;
use wire::identity::Tier;
use wire::rpc::{SpoolCordonRequest, SpoolStatus, SpoolStatusRequest};

use crate::harness::{Client, Mood, World};

fn admin(world: &World, tier: Tier, instance: &str) -> SpoolAdminClient<Channel> {
    let folder = world.identity(tier, instance);
    let credentials = Credentials::load(&folder).unwrap();
    let mx = credentials.peer(Tier::Mx, "mx-0").unwrap();
    let options = ChannelOptions::default();
    let channel = channel(&world.rpc.to_string(), &mx, &credentials, options);
    SpoolAdminClient::new(channel.unwrap())
}

#[tokio::test]
async fn a_cordoned_mx_lets_nobody_in_and_its_spool_goes_on() {
    let world = World::with(|config| {
        // What waits for its own turn would wait for longer than the test.
        config.spool.first_wait = std::time::Duration::from_secs(3600);
        config.spool.longest_wait = config.spool.first_wait;
    })
    .await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut inside = world.client().await;
    let reply = inside.mail(&["a@ours.example"], "Subject: 1\r\n\r\n").await;
    assert!(reply.ends_with("queued"), "{reply}");
    let mut admin = admin(&world, Tier::Operator, "operator");
    let status = admin.status(SpoolStatusRequest {}).await.unwrap();
    let before = SpoolStatus {
        cordoned: false,
        pending: 1,
        dead: 0,
        sessions: 1,
    };
    assert_eq!(status.into_inner(), before);
    world.shards[0].set_mood(account, Mood::Stores);
    inside.ask("MAIL FROM:<>", "250").await;
    let status = admin.cordon(SpoolCordonRequest { on: true }).await.unwrap();
    assert!(status.into_inner().cordoned);
    world.until("not ready", |world| !world.is_ready()).await;
    world
        .until("the spool is empty", |world| {
            world.spool().counts().entries == 0
        })
        .await;
    // Whoever is inside ends what it began.
    inside.ask("RCPT TO:<a@ours.example>", "250").await;
    inside.ask("DATA", "354").await;
    inside.send("Subject: 2\r\n\r\n.\r\n").await;
    inside.expect("250 2.0.0").await;
    inside.expect("421 4.3.2").await;
    inside.expect_end().await;
    for port in [world.smtp, world.lmtp] {
        let mut outside = Client::connect(port).await;
        outside.expect("421 4.3.2").await;
        outside.expect_end().await;
    }
    world
        .until("nobody is inside", |world| {
            world.metric("sessions", &[]) == 0
        })
        .await;
    let after = SpoolStatus {
        cordoned: true,
        ..SpoolStatus::default()
    };
    let status = admin.status(SpoolStatusRequest {}).await.unwrap();
    assert_eq!(status.into_inner(), after);
    admin
        .cordon(SpoolCordonRequest { on: false })
        .await
        .unwrap();
    world.until("ready", World::is_ready).await;
    world.client().await.ask("QUIT", "221").await;
}

#[tokio::test]
async fn only_administrators_may() {
    let world = World::new().await;
    let mut other = admin(&world, Tier::Proxy, "proxy-0");
    let status = other.cordon(SpoolCordonRequest { on: true }).await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    let status = other.status(SpoolStatusRequest {}).await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    assert!(world.is_ready());
}
