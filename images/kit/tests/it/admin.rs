//! The admin port, asked as Kubernetes and Prometheus ask.

use std::net::SocketAddr;
use std::time::Duration;

use buzonera_kit::admin::{self, Admin};
use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::identity::Tier;

use crate::support::ANY;

struct Running {
    address: SocketAddr,
    admin: Admin,
    shutdown: Shutdown,
    serving: tokio::task::JoinHandle<()>,
}

fn start(lame_duck: Duration) -> Running {
    let listener = admin::bind(ANY, "--admin-listen").unwrap();
    let (address, admin) = (listener.local_addr(), Admin::default());
    let shutdown = Shutdown::new(lame_duck, DRAIN);
    let serving = tokio::spawn(admin::serve(listener, admin.clone(), shutdown.clone()));
    Running {
        address,
        admin,
        shutdown,
        serving,
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn readiness_lists_what_is_missing() {
    let running = start(Duration::ZERO);
    let lease = running.admin.readiness.condition("shard-1: lease");
    let (status, body) = get(running.address, "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "shard-1: lease: starting\n"));
    assert_eq!(get(running.address, "/livez").await.0, 200);
    lease.met();
    assert_eq!(get(running.address, "/readyz").await.0, 200);
    lease.unmet("held by another process");
    let (_, body) = get(running.address, "/readyz").await;
    assert_eq!(body, "shard-1: lease: held by another process\n");
    lease.met_but("it ends soon");
    let (status, body) = get(running.address, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, "ok\nshard-1: lease: it ends soon\n")
    );
}

#[tokio::test]
async fn a_lame_duck_is_ready_and_a_closing_process_is_not() {
    let running = start(Duration::from_secs(3600));
    running.shutdown.trigger();
    assert_eq!(get(running.address, "/readyz").await.0, 200);
    let guard = running.shutdown.guard("session");
    running.shutdown.trigger_now();
    let (status, body) = get(running.address, "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "closing\n"));
    assert_eq!(get(running.address, "/livez").await.0, 200);
    drop(guard);
    running.serving.await.unwrap();
    TcpStream::connect(running.address).await.unwrap_err();
}

#[tokio::test]
async fn metrics_carry_tier_and_instance() {
    let running = start(Duration::ZERO);
    let counter = Counter::<u64>::default();
    counter.inc_by(3);
    running
        .admin
        .metrics
        .register_as(Tier::Mx, "mx-0", |registry| {
            registry.register("messages", "Messages accepted", counter);
        });
    let (status, body) = get(running.address, "/metrics").await;
    assert_eq!(status, 200);
    let sample = "buzonera_mx_messages_total{instance=\"mx-0\"} 3\n";
    assert!(body.contains(sample), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn anything_else_is_not_there() {
    let running = start(Duration::ZERO);
    assert_eq!(get(running.address, "/").await.0, 404);
    assert_eq!(get(running.address, "/metrics/../etc/passwd").await.0, 404);
}
