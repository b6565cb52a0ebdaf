//! Clients with certificates of somebody else's CA, whose file may come late and change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use buzonera_kit::tls::{ClientCa, PublicTls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wire::identity::Tier;

use crate::support::{Cluster, until};

const LOOK: Duration = Duration::from_millis(10);

#[tokio::test]
async fn who_is_let_in_follows_the_file() {
    let ours = Cluster::new();
    let (old, new) = (Cluster::new(), Cluster::new());
    let folder = ours.dir.path().join("public");
    ours.authority
        .issue_public(&["mx.example"], &folder)
        .unwrap();
    let public = PublicTls::load(&folder).unwrap();
    let file = ours.dir.path().join("client-ca.pem");
    let clients = ClientCa::open(&file);
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    clients.watch_every(LOOK, &shutdown);
    let (of_old, of_new) = (certified(&old), certified(&new));
    let is_let_in = async |client: Option<&Path>| {
        let acceptor = TlsAcceptor::from(public.server_config_for(&clients));
        greeted(&ours, acceptor, client).await
    };

    assert!(!is_let_in(Some(&of_old)).await);
    fs::write(&file, old.authority.ca_pem()).unwrap();
    until("the file is read", async || is_let_in(Some(&of_old)).await).await;
    assert!(!is_let_in(Some(&of_new)).await);
    assert!(!is_let_in(None).await);

    // Something else than a CA changes nothing.
    fs::write(&file, "no certificate").unwrap();
    until("it is refused", async || clients.failed() == 1).await;
    assert!(is_let_in(Some(&of_old)).await);
    fs::write(&file, new.authority.ca_pem()).unwrap();
    until("the new file is read", async || {
        is_let_in(Some(&of_new)).await
    })
    .await;
    assert!(!is_let_in(Some(&of_old)).await);
}

/// The folder of somebody with a certificate.
fn certified(by: &Cluster) -> PathBuf {
    let folder = by.folder(Tier::Admin, "a");
    let identity = by.identity(Tier::Admin, "a");
    by.authority.issue(&identity, &folder).unwrap();
    folder
}

/// Whether a client with the certificate in a folder hears from the server.
async fn greeted(ours: &Cluster, acceptor: TlsAcceptor, client: Option<&Path>) -> bool {
    let connector = TlsConnector::from(config(ours, client));
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = async move {
        let mut stream = acceptor.accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    };
    let client = async move {
        let name = ServerName::try_from("mx.example").unwrap();
        let mut heard = Vec::new();
        connector
            .connect(name, near)
            .await?
            .read_to_end(&mut heard)
            .await?;
        std::io::Result::Ok(heard)
    };
    let (_, heard) = tokio::join!(server, client);
    heard.is_ok_and(|heard| heard == b"hello")
}

fn config(ours: &Cluster, client: Option<&Path>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ours.authority.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match client {
        None => config.with_no_client_auth(),
        Some(folder) => {
            let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap();
            let chain = chain.map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    })
}
