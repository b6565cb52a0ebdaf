//! Certificates change on disk while connections live.

use std::fs;
use std::time::Duration;

use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use buzonera_kit::tls::{Credentials, fingerprint, peer_identity, server_name};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::identity::Tier;

use crate::support::{ANY, Cluster, Replica, ask, until};

const LOOK: Duration = Duration::from_millis(10);

#[tokio::test]
async fn new_connections_use_the_new_set_and_old_ones_live() {
    let cluster = Cluster::new();
    let server = cluster.credentials(Tier::Directory, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    server.watch_every(LOOK, &shutdown);
    mx.watch_every(LOOK, &shutdown);
    let replica = Replica::start_with(&server, ANY);
    let old = cluster.channel(&mx, &replica);
    ask(&old).await.unwrap();
    let before = shown_by(&cluster, &mx, &replica).await;

    // A new CA for the same cluster: the bundles hold both, the leaves are of the new one.
    let renewed = Cluster::with_id(cluster.id);
    let both = format!(
        "{}{}",
        renewed.authority.ca_pem(),
        cluster.authority.ca_pem()
    );
    reissue(&cluster, &renewed, &both, Tier::Directory, "directory-0");
    reissue(&cluster, &renewed, &both, Tier::Mx, "mx-0");
    until("both reloaded", async || {
        server.reloads().done() >= 1 && mx.reloads().done() >= 1
    })
    .await;
    assert_eq!(mx.bundle().fingerprint(), fingerprint(&both).unwrap());

    assert!(old.is_connected());
    ask(&old).await.unwrap();
    let after = shown_by(&cluster, &mx, &replica).await;
    assert_ne!(before, after);
    // A new channel shows the new certificate and trusts the new one.
    ask(&cluster.channel(&mx, &replica)).await.unwrap();

    // The old CA goes: what still has an old certificate is foreign now.
    reissue(
        &cluster,
        &renewed,
        renewed.authority.ca_pem(),
        Tier::Directory,
        "directory-0",
    );
    until("the old CA is dropped", async || {
        server.reloads().done() >= 2
    })
    .await;
    let late = cluster.credentials(Tier::Mx, "mx-late");
    ask(&cluster.channel(&late, &replica)).await.unwrap_err();
    ask(&cluster.channel(&mx, &replica)).await.unwrap();
    ask(&old).await.unwrap();
}

#[tokio::test]
async fn a_channel_reconnects_with_the_new_certificate() {
    let cluster = Cluster::new();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    mx.watch_every(LOOK, &shutdown);
    let replica = Replica::start(&cluster, "directory-0");
    let address = replica.address;
    let channel = cluster.channel(&mx, &replica);
    ask(&channel).await.unwrap();
    replica.stop().await;

    let renewed = Cluster::with_id(cluster.id);
    reissue(
        &cluster,
        &renewed,
        renewed.authority.ca_pem(),
        Tier::Mx,
        "mx-0",
    );
    until("reloaded", async || mx.reloads().done() == 1).await;
    let server = renewed.credentials(Tier::Directory, "directory-0");
    let _replica = Replica::start_with(&server, address);
    until("connected again", async || ask(&channel).await.is_ok()).await;
}

#[tokio::test]
async fn a_broken_set_keeps_the_old_one() {
    let cluster = Cluster::new();
    let folder = cluster.folder(Tier::Directory, "directory-0");
    let server = cluster.credentials(Tier::Directory, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    server.watch_every(LOOK, &shutdown);
    let replica = Replica::start_with(&server, ANY);

    let stranger = cluster.identity(Tier::Directory, "directory-9");
    let elsewhere = cluster.dir.path().join("elsewhere");
    let breakages: [&dyn Fn(); 4] = [
        &|| fs::write(folder.join("key.pem"), "no key").unwrap(),
        &|| fs::remove_file(folder.join("cert.pem")).unwrap(),
        // Somebody else's certificate.
        &|| cluster.authority.issue(&stranger, &folder).unwrap(),
        // A certificate without its key.
        &|| {
            let own = cluster.identity(Tier::Directory, "directory-0");
            cluster.authority.issue(&own, &elsewhere).unwrap();
            fs::copy(elsewhere.join("cert.pem"), folder.join("cert.pem")).unwrap();
        },
    ];
    for breaks in breakages {
        let before = server.reloads().failed();
        breaks();
        until("noticed", async || server.reloads().failed() > before).await;
        ask(&cluster.channel(&mx, &replica)).await.unwrap();
    }
    assert_eq!(server.reloads().done(), 0);

    cluster.credentials(Tier::Directory, "directory-0");
    until("mended", async || server.reloads().done() == 1).await;
    ask(&cluster.channel(&mx, &replica)).await.unwrap();
}

/// Gives an instance of `cluster` a certificate of `by`, and a bundle.
fn reissue(cluster: &Cluster, by: &Cluster, bundle: &str, tier: Tier, instance: &str) {
    let folder = cluster.folder(tier, instance);
    let identity = by.identity(tier, instance);
    by.authority.issue(&identity, &folder).unwrap();
    fs::write(folder.join("ca.pem"), bundle).unwrap();
}

/// The certificate that a new connection is shown.
async fn shown_by(cluster: &Cluster, mx: &Credentials, replica: &Replica) -> Vec<u8> {
    let expect = cluster.identity(Tier::Directory, &replica.instance);
    let connector = TlsConnector::from(mx.client_config(&expect));
    let tcp = TcpStream::connect(replica.address).await.unwrap();
    let tls = connector.connect(server_name(), tcp).await.unwrap();
    let chain = tls.get_ref().1.peer_certificates().unwrap();
    assert_eq!(peer_identity(chain).unwrap(), expect);
    chain[0].to_vec()
}
