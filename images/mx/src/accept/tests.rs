//! What clients are told when the spool's disk hangs.

use std::net::TcpListener;

use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::Frame;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::Replica;
use segments::sim::SimDisk;
use tempfile::TempDir;
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId, Epoch, TransactionId};
use wire::smtp::{ForwardPath, ReversePath};

use super::*;
use crate::body::BodyWriter;
use crate::config::{ANSWER, Config, Timeouts};
use crate::session::{Recipient, Target};
use crate::spool::{self, Clock, Spool};
use crate::tier::Mx;

/// In place of [`LATEST`], and of the time for shards.
const SHORT: Duration = Duration::from_millis(300);

const TEXT: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

/// A server whose spool is on that disk, and whose directory does not answer.
async fn server(folder: &TempDir, sim: &SimDisk) -> Server {
    let cluster = ClusterId::random();
    let authority = Authority::create(&folder.path().join("ca"), cluster).unwrap();
    let identity = Identity::new(cluster, Tier::Mx, "mx-0").unwrap();
    let config = Config {
        identity: folder.path().join("mx-0"),
        data: folder.path().join("data"),
        directory: vec![Replica {
            instance: "directory-0".into(),
            endpoint: "127.0.0.1:1".into(),
        }],
        timeouts: Timeouts {
            spool_after: SHORT / 2,
            ..Timeouts::default()
        },
        ..Config::default()
    };
    authority.issue(&identity, &config.identity).unwrap();
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let frame = Frame::new::<Mx>(&config.identity, &Admin::default(), &shutdown);
    let opened = Server::open(&config, &frame.unwrap()).await;
    let spool = Spool::open(sim.disk(), spool::Config::default(), Clock::system());
    Server {
        spool: spool.unwrap(),
        latest: SHORT,
        ..opened.unwrap()
    }
}

/// A message for one account: of a shard at `endpoint`, or by a route that is only remembered.
fn message(endpoint: Option<String>) -> Message {
    let target = Target {
        account: AccountId::random(),
        address: "a@ours.example".into(),
        shard: "shard-1".parse().unwrap(),
        stale: endpoint.is_none(),
        endpoint: endpoint.unwrap_or_default(),
        epoch: Epoch(1),
    };
    let recipient = Recipient {
        path: ForwardPath::parse("<a@ours.example>").unwrap().0,
        targets: vec![target],
    };
    let from = ReversePath::Null;
    Message {
        peer: "192.0.2.1:1".parse().unwrap(),
        protocol: Protocol::Smtp,
        size: TEXT.len() as u64,
        transaction: Transaction::with(TransactionId::random(), from, vec![recipient]),
        delivery: DeliveryId::from_bytes([7; 16]),
        message_id: None,
    }
}

async fn body(server: &Server) -> Body {
    let mut writer = BodyWriter::new(server.bodies.clone(), TEXT.len());
    writer.push(TEXT);
    writer.finish().await.unwrap()
}

/// Whatever hangs, the client waits no longer than it must: the rest of a minute is [`LATEST`].
#[tokio::test]
async fn the_answer_does_not_wait_for_a_disk_that_hangs() {
    // A shard that is connected to and never says a word.
    let shard = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = shard.local_addr().unwrap().to_string();
    for endpoint in [None, Some(hangs)] {
        let (folder, sim) = (tempfile::tempdir().unwrap(), SimDisk::new(1));
        let server = server(&folder, &sim).await;
        sim.hold_syncs();
        let (remembered, message) = (message(None), message(endpoint));
        let body = body(&server).await;
        let delivering = server.deliver(&message, body.clone());
        let outcome = tokio::time::timeout(ANSWER / 2, delivering).await;
        // The disk is back, also for the end of a test that fails.
        sim.release_syncs();
        let outcome = outcome.unwrap();
        assert_eq!(outcome.delivered, [Delivered::Deferred]);
        assert!(outcome.took >= SHORT, "{:?}", outcome.took);
        let slow = crate::metrics::Became { result: "slow" };
        assert_eq!(server.metrics.not_spooled.get_or_create(&slow).get(), 1);
        let later = Server {
            latest: LATEST,
            ..server
        };
        let outcome = later.deliver(&remembered, body).await;
        assert_eq!(outcome.delivered, [Delivered::Queued]);
    }
}
