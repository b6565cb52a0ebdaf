//! Only processes of our cluster talk to each other, and only to whom they meant.

use std::path::Path;
use std::sync::Arc;

use buzonera_kit::rpc::{channel, is_unsent};
use buzonera_kit::tls::{Credentials, IdentityFiles};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use wire::identity::Tier;

use crate::support::{ANY, Cluster, Replica, ask, quick};

#[tokio::test]
async fn a_call_reaches_the_handler_with_its_callers_name() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let answer = ask(&cluster.channel(&mx, &replica)).await.unwrap();
    assert_eq!(answer, "directory-0 to mx-0");
}

#[tokio::test]
async fn another_tier_may_not_call() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let shard = cluster.credentials(Tier::Storage, "shard-1");
    let refused = ask(&cluster.channel(&shard, &replica)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("storage/shard-1"), "{refused}");
    assert!(refused.message().contains("Directory/Resolve"), "{refused}");
    assert_eq!(replica.calls(), 0);
}

#[tokio::test]
async fn a_foreign_ca_is_refused_by_the_caller() {
    let (ours, foreign) = two_clusters_of_one_id();
    let replica = Replica::start(&foreign, "directory-0");
    let mx = ours.credentials(Tier::Mx, "mx-0");
    let refused = ask(&ours.channel(&mx, &replica)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(is_unsent(&refused), "{refused}");
    assert!(refused.message().contains("TLS failed"), "{refused}");
}

#[tokio::test]
async fn a_foreign_ca_is_refused_by_the_server_and_the_caller_learns_why() {
    let (ours, foreign) = two_clusters_of_one_id();
    let replica = Replica::start(&ours, "directory-0");
    // It trusts our CA, but its own certificate is from the foreign one.
    let folder = foreign.folder(Tier::Mx, "mx-0");
    foreign.credentials(Tier::Mx, "mx-0");
    let bundle = format!("{}{}", foreign.authority.ca_pem(), ours.authority.ca_pem());
    std::fs::write(folder.join("ca.pem"), bundle).unwrap();
    let mx = buzonera_kit::tls::Credentials::load(&folder).unwrap();
    let refused = ask(&ours.channel(&mx, &replica)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(is_unsent(&refused), "{refused}");
    let message = refused.message();
    assert!(message.contains("refused our certificate"), "{refused}");
    assert_eq!(replica.calls(), 0);
}

#[tokio::test]
async fn another_cluster_under_the_same_ca_is_refused() {
    let ours = Cluster::new();
    let other = Cluster::new();
    let folder = other.folder(Tier::Mx, "mx-0");
    other.credentials(Tier::Mx, "mx-0");
    // Both sides trust both CAs: only the cluster id is left to tell them apart.
    let both = format!("{}{}", other.authority.ca_pem(), ours.authority.ca_pem());
    std::fs::write(folder.join("ca.pem"), &both).unwrap();
    let server = ours.folder(Tier::Directory, "directory-1");
    ours.credentials(Tier::Directory, "directory-1");
    std::fs::write(server.join("ca.pem"), &both).unwrap();
    let server = buzonera_kit::tls::Credentials::load(&server).unwrap();
    let trusting = Replica::start_with(&server, ANY);
    let mx = buzonera_kit::tls::Credentials::load(&folder).unwrap();
    let expect = ours.identity(Tier::Directory, "directory-1");
    let to = channel(&trusting.endpoint(), &expect, &mx, quick()).unwrap();
    let refused = ask(&to).await.unwrap_err();
    assert!(is_unsent(&refused), "{refused}");
    assert_eq!(trusting.calls(), 0);
}

#[tokio::test]
async fn the_wrong_instance_or_tier_is_not_spoken_to() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    for (tier, instance) in [
        (Tier::Directory, "directory-1"),
        (Tier::Storage, "directory-0"),
    ] {
        let expect = cluster.identity(tier, instance);
        let to = channel(&replica.endpoint(), &expect, &mx, quick()).unwrap();
        let refused = ask(&to).await.unwrap_err();
        assert!(is_unsent(&refused), "{refused}");
        let message = refused.message();
        assert!(message.contains(&expect.to_string()), "{refused}");
        assert!(message.contains("directory/directory-0"), "{refused}");
    }
    assert_eq!(replica.calls(), 0);
}

#[tokio::test]
async fn a_public_certificate_is_no_identity() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let public = cluster.dir.path().join("public");
    cluster
        .authority
        .issue_public(&["localhost"], &public)
        .unwrap();
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    // A client that has stolen the public key pair, with everything else in order.
    let expect = cluster.identity(Tier::Directory, "directory-0");
    let mut config = rustls::ClientConfig::clone(&mx.client_config(&expect));
    config.client_auth_cert_resolver = Arc::new(Stolen(pair_in(&public)));
    assert_no_http2(&replica, config).await;
}

#[tokio::test]
async fn plaintext_is_refused() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mut plain = TcpStream::connect(replica.address).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // The server says a TLS alert at most, and closes.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(answer.len() <= 7, "{answer:?}");
    assert!(answer.first().is_none_or(|&kind| kind == ALERT));
}

#[tokio::test]
async fn a_silent_client_is_cut_off() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mut silent = TcpStream::connect(replica.address).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn no_client_certificate_no_service() {
    let cluster = Cluster::new();
    let replica = Replica::start(&cluster, "directory-0");
    let mx = cluster.credentials(Tier::Mx, "mx-0");
    let expect = cluster.identity(Tier::Directory, "directory-0");
    let mut config = rustls::ClientConfig::clone(&mx.client_config(&expect));
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    assert_no_http2(&replica, config).await;
}

/// The content type of a TLS alert (RFC 8446 section 5.1).
const ALERT: u8 = 21;

/// Two CAs that claim the same cluster.
fn two_clusters_of_one_id() -> (Cluster, Cluster) {
    let ours = Cluster::new();
    let foreign = Cluster::with_id(ours.id);
    (ours, foreign)
}

/// Connects and reads: an error or nothing, but never HTTP/2 settings.
async fn assert_no_http2(replica: &Replica, config: rustls::ClientConfig) {
    let tcp = TcpStream::connect(replica.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut octet = [0];
    let read = match connector
        .connect(buzonera_kit::tls::server_name(), tcp)
        .await
    {
        Ok(mut tls) => tls.read(&mut octet).await,
        Err(error) => Err(error),
    };
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

fn pair_in(folder: &Path) -> Arc<CertifiedKey> {
    let chain = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(CertifiedKey::from_der(vec![chain], key, &provider).unwrap())
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_folder_may_hold_the_identities_of_all_instances() {
    let cluster = Cluster::new();
    let shared = cluster.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    for instance in ["mx-0", "mx-1"] {
        cluster.credentials(Tier::Mx, instance);
        let own = cluster.folder(Tier::Mx, instance);
        std::fs::copy(own.join("ca.pem"), shared.join("ca.pem")).unwrap();
        for file in ["cert.pem", "key.pem"] {
            std::fs::copy(own.join(file), shared.join(format!("{instance}.{file}"))).unwrap();
        }
    }
    for instance in ["mx-0", "mx-1"] {
        let files = IdentityFiles::new(&shared, Some(instance));
        let credentials = Credentials::load_for(Tier::Mx, files).unwrap();
        assert_eq!(credentials.identity().instance(), instance);
    }
    let missing = Credentials::load_for(Tier::Mx, IdentityFiles::new(&shared, None));
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("shared/cert.pem"), "{missing}");
}
