//! An RPC server stops politely: lame duck, close, drain, cut.

use std::time::{Duration, Instant};

use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use buzonera_kit::listener::{Listener, ListenerConfig};
use buzonera_kit::rpc::server::serve;
use tokio::net::TcpStream;
use tonic::Code;
use wire::identity::Tier;

use crate::support::{ANY, Cluster, Replica, ask, until};

#[tokio::test]
async fn a_call_under_way_is_finished_and_the_port_is_closed() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channel = cluster.channel(&mx, &replica);
    replica.hang();
    let call = tokio::spawn(async move { ask(&channel).await });
    until("the call is there", async || replica.calls() == 1).await;
    replica.shutdown.trigger();
    until("the port is closed", async || {
        TcpStream::connect(replica.address).await.is_err()
    })
    .await;
    replica.behaviour.go_on.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "directory-0 to mx-0");
    replica.serving.await.unwrap();
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_cut() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let channel = cluster.channel(&mx, &replica);
    replica.hang();
    let call = tokio::spawn(async move { ask(&channel).await });
    until("the call is there", async || replica.calls() == 1).await;
    replica.stop().await;
    let cut = call.await.unwrap().unwrap_err();
    assert_eq!(cut.code(), Code::Unavailable);
    assert!(cut.message().contains("directory-0"), "{cut}");
}

#[tokio::test]
async fn a_lame_duck_still_takes_connections() {
    const LAME_DUCK: Duration = Duration::from_secs(1);
    let cluster = Cluster::new();
    let credentials = cluster.credentials(Tier::Directory, "directory-0");
    let listener = Listener::bind(ListenerConfig::new("rpc", "--listen", ANY)).unwrap();
    let address = listener.local_addr();
    let shutdown = Shutdown::new(LAME_DUCK, DRAIN);
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { serve(listener, &credentials, Default::default(), shutdown).await }
    });
    let asked = Instant::now();
    shutdown.trigger();
    TcpStream::connect(address).await.unwrap();
    serving.await.unwrap().unwrap();
    assert!(asked.elapsed() >= LAME_DUCK);
    TcpStream::connect(address).await.unwrap_err();
}
