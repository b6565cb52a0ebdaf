//! Only proxies of this cluster are let in.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::identity::Tier;

use crate::pop3::site::Site;
use crate::rig::SOON;

#[tokio::test]
async fn other_tiers_get_no_greeting() {
    let site = Site::new(501, &[]).await;
    for tier in [Tier::Mx, Tier::Directory, Tier::Admin] {
        let mut client = site.connect_as(tier).await;
        assert_eq!(client.line().await, "closed", "{tier}");
    }
    site.opened().await;
}

#[tokio::test]
async fn plain_text_gets_nothing() {
    let site = Site::new(502, &[]).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"USER tim\r\n").await.unwrap();
    let mut said = Vec::new();
    // A reset is a refusal too.
    let _ = timeout(SOON, stream.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"+OK"), "{said:?}");
    site.opened().await;
}

#[tokio::test]
async fn another_clusters_proxy_is_refused() {
    let site = Site::new(503, &[]).await;
    let other = Site::new(504, &[]).await;
    let foreign = other.credentials(Tier::Proxy, "proxy-1");
    let shard = foreign.peer(Tier::Storage, "shard-1").unwrap();
    let stream = TcpStream::connect(site.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(foreign.client_config(&shard));
    let connected = connector.connect(kit::tls::server_name(), stream).await;
    assert!(connected.is_err());
    site.opened().await;
}
