//! The public certificate: no client certificate asked, reloaded like the others.

use std::sync::Arc;
use std::time::Duration;

use buzonera_kit::authority::LEAF_LIFETIME;
use buzonera_kit::clock::unix_ms;
use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use buzonera_kit::tls::PublicTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Cluster, until};

#[tokio::test]
async fn a_mail_client_verifies_it_and_sees_the_renewed_one() {
    let cluster = Cluster::new();
    let folder = cluster.dir.path().join("public");
    let issue = || {
        let hosts = ["localhost", "127.0.0.1"];
        cluster.authority.issue_public(&hosts, &folder).unwrap();
    };
    issue();
    let public = PublicTls::load(&folder).unwrap();
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    public.watch_every(Duration::from_millis(10), &shutdown);
    let acceptor = TlsAcceptor::from(public.server_config());
    let year = i64::try_from(LEAF_LIFETIME.as_secs()).unwrap();
    let left = public.reloads().expires() - unix_ms() / 1000;
    assert!((year - 60..=year).contains(&left), "{left}");

    let first = shown(&cluster, &acceptor, "localhost").await;
    assert_eq!(first, shown(&cluster, &acceptor, "127.0.0.1").await);
    issue();
    until("reloaded", async || public.reloads().done() == 1).await;
    assert_ne!(first, shown(&cluster, &acceptor, "localhost").await);
}

/// Connects as a mail client does, by the CA file and a host name.
async fn shown(cluster: &Cluster, acceptor: &TlsAcceptor, host: &str) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(cluster.authority.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, tcp) = tokio::join!(listener.accept(), tcp);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let (_server, client) = tokio::join!(
        acceptor.accept(accepted.unwrap().0),
        TlsConnector::from(Arc::new(config)).connect(name, tcp.unwrap())
    );
    let client = client.unwrap();
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
