//! Behind a balancer that speaks the PROXY protocol the client is whoever the balancer says.

use buzonera_proxy::Limits;
use tokio::io::AsyncWriteExt as _;
use wire::proxy_header::header;

use crate::client::Client;
use crate::world::World;

#[tokio::test]
async fn clients_are_told_apart_on_both_ports() {
    let limits = Limits {
        max_per_address: 1,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut first = Client::through_balancer(world.proxied[0], "203.0.113.9:1").await;
    assert_eq!(first.line().await, "+OK Buzonera");
    let mut second = Client::through_balancer(world.proxied[0], "203.0.113.10:1").await;
    assert_eq!(second.line().await, "+OK Buzonera");
    let mut again = Client::through_balancer(world.proxied[0], "203.0.113.9:2").await;
    let full = "-ERR [SYS/TEMP] too many connections, try again later";
    assert_eq!(again.line().await, full);

    let by_tls = Client::through_balancer(world.proxied[1], "203.0.113.9:3").await;
    let mut by_tls = by_tls.encrypt(&world.ca_pem).await;
    assert_eq!(by_tls.line().await, "+OK Buzonera");
    assert_eq!(by_tls.login().await, "+OK 0 messages");
}

#[tokio::test]
async fn whoever_is_no_balancer_of_ours_is_not_heard() {
    let world = World::new().await;
    let to = world.proxied[0];
    let mut stranger = Client::connect_from("127.0.0.2", to).await;
    let header = header("203.0.113.9:1".parse().unwrap(), to);
    // It may be gone before we have said all.
    let _ = stranger.io.write_all(&header).await;
    assert_eq!(stranger.line().await, "closed");
}
