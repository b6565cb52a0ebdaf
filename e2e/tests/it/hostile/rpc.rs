//! RPC: plain text, foreign certificates, wrong tiers, and messages that are none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BufMut as _};
use e2e::site::Site;
use kit::authority::Authority;
use kit::rpc::{ChannelOptions, channel};
use kit::tls::Credentials;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use wire::identity::{Identity, Tier};
use wire::ids::{ClusterId, RequestId};
use wire::rpc;

use super::{converse, still_serves};
use crate::support::TestSite;

/// Octets that are no TLS, or TLS that is no RPC of ours.
fn noise() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        (
            "plain HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "plain HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        ("SMTP", b"EHLO c\r\nQUIT\r\n".to_vec()),
        (
            "a TLS record too long",
            [&[22, 3, 1, 255, 255][..], &[0; 70_000]].concat(),
        ),
        (
            "half a ClientHello",
            vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3],
        ),
        ("zeros", vec![0; 100_000]),
    ]
}

#[tokio::test]
async fn noise_is_not_answered_and_rpc_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    for (name, octets) in noise() {
        let said = converse(Site::at(site.ports().directory), &octets)
            .await
            .unwrap();
        assert!(!said.contains("HTTP"), "{name}: {said:?}");
        site.ask(&["status"], "").expect(name);
    }
    still_serves(&site, 7).await.unwrap();
}

/// One call: who makes it, what is sent, and the answer.
struct Call {
    name: &'static str,
    who: &'static str,
    method: &'static str,
    message: Vec<u8>,
    code: Code,
    says: &'static str,
}

const ADD_DOMAIN: &str = "/buzonera.v1.Admin/AddDomain";
const IMPORT: &str = "/buzonera.v1.Admin/ImportAccounts";

fn calls() -> Vec<Call> {
    let id = || RequestId::random().to_field();
    let domain = |request_id, name: &str| {
        rpc::AddDomainRequest {
            request_id,
            name: name.to_owned(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let admin = |name, method, message, code, says| Call {
        name,
        who: "admin",
        method,
        message,
        code,
        says,
    };
    let tier = |name, who, method| Call {
        name,
        who,
        method,
        message: Vec::new(),
        code: Code::PermissionDenied,
        says: "",
    };
    let rows = vec![rpc::ImportRow::default(); 1001];
    let import = rpc::ImportAccountsRequest {
        request_id: id(),
        rows,
        check_only: false,
    };
    vec![
        tier("MX administers", "mx-0", ADD_DOMAIN),
        tier(
            "a shard administers",
            "shard-1",
            "/buzonera.v1.Admin/Status",
        ),
        tier(
            "the proxy asks for a lease",
            "proxy-0",
            "/buzonera.v1.Registry/AcquireLease",
        ),
        tier(
            "an administrator tries passwords",
            "admin",
            "/buzonera.v1.Directory/Authenticate",
        ),
        tier(
            "MX tries passwords",
            "mx-0",
            "/buzonera.v1.Directory/Authenticate",
        ),
        admin(
            "a method that is none",
            "/buzonera.v1.Admin/Brew",
            Vec::new(),
            Code::PermissionDenied,
            "",
        ),
        admin(
            "a service that is none",
            "/buzonera.v1.Teapot/Brew",
            Vec::new(),
            Code::PermissionDenied,
            "",
        ),
        admin(
            "octets that are no message",
            ADD_DOMAIN,
            vec![0xff; 100],
            Code::Internal,
            "",
        ),
        admin(
            "a field cut short",
            ADD_DOMAIN,
            vec![0x12, 200, b'a'],
            Code::Internal,
            "",
        ),
        admin(
            "a name that is no UTF-8",
            ADD_DOMAIN,
            vec![0x12, 2, 0xff, 0xfe],
            Code::Internal,
            "",
        ),
        admin(
            "a message of 5 MiB",
            ADD_DOMAIN,
            vec![0; 5 << 20],
            Code::OutOfRange,
            "",
        ),
        admin(
            "no request id",
            ADD_DOMAIN,
            domain(bytes::Bytes::new(), "example.com"),
            Code::InvalidArgument,
            "request_id",
        ),
        admin(
            "a request id of 3 octets",
            ADD_DOMAIN,
            domain(bytes::Bytes::from_static(b"abc"), "example.com"),
            Code::InvalidArgument,
            "request_id",
        ),
        admin(
            "a domain of control characters",
            ADD_DOMAIN,
            domain(id(), "\u{1b}[2J.example"),
            Code::InvalidArgument,
            "name",
        ),
        admin(
            "1,001 rows",
            IMPORT,
            import.encode_to_vec(),
            Code::InvalidArgument,
            "rows: write at most 1000",
        ),
        admin(
            "a move's id of 3 octets",
            "/buzonera.v1.Admin/ShowMove",
            rpc::ShowMoveRequest {
                move_id: bytes::Bytes::from_static(b"abc"),
                address: String::new(),
            }
            .encode_to_vec(),
            Code::InvalidArgument,
            "move_id",
        ),
        admin(
            "a state that is none",
            "/buzonera.v1.Admin/SetShardState",
            rpc::SetShardStateRequest {
                request_id: id(),
                name: "shard-1".to_owned(),
                state: 77,
            }
            .encode_to_vec(),
            Code::InvalidArgument,
            "state",
        ),
    ]
}

#[tokio::test]
async fn each_call_has_its_code_and_rpc_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    let identities = site.folder().join("buzonera-data/identities");
    let mut wrong = Vec::new();
    for call in calls() {
        let folder = identities.join(call.who);
        let answer = ask(&site, &folder, call.method, call.message).await;
        let status = answer.unwrap().err();
        let fits = status.as_ref().is_some_and(|status| {
            status.code() == call.code && status.message().contains(call.says)
        });
        if !fits {
            wrong.push(format!("{}: {status:?}", call.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let domains = site.ask(&["domain", "list"], "").unwrap();
    assert_eq!(domains.as_array().unwrap().len(), 1, "{domains}");
    still_serves(&site, 9).await.unwrap();
}

/// An administrator of another CA who trusts ours, with the cluster's name and with another.
#[tokio::test]
async fn a_foreign_certificate_is_refused_and_rpc_still_serves() {
    let site = TestSite::with_ana().await.unwrap();
    let data = site.folder().join("buzonera-data");
    let ours = Credentials::load(&data.join("identities/admin")).unwrap();
    for cluster in [ours.identity().cluster(), ClusterId::random()] {
        let folder = foreign(site.folder(), cluster, &data.join("ca.pem")).unwrap();
        let answer = ask(&site, &folder, "/buzonera.v1.Admin/Status", Vec::new()).await;
        if let Ok(Ok(octets)) = answer {
            panic!("a foreign certificate was let in and told {octets:?}");
        }
    }
    site.ask(&["status"], "").unwrap();
    still_serves(&site, 10).await.unwrap();
}

fn foreign(folder: &Path, cluster: ClusterId, ca: &Path) -> Result<PathBuf> {
    let at = folder.join(format!("foreign-{cluster}"));
    let authority = Authority::create(&at.join("ca"), cluster)?;
    let identity = at.join("identity");
    authority.issue(&Identity::new(cluster, Tier::Admin, "admin")?, &identity)?;
    fs::copy(ca, identity.join("ca.pem"))?;
    Ok(identity)
}

/// Sends octets as a message and returns the answer's.
async fn ask(
    site: &TestSite,
    identity: &Path,
    method: &'static str,
    message: Vec<u8>,
) -> Result<Result<Vec<u8>, Status>> {
    // The server's name is our own cluster's, whoever the caller says to be.
    let ours = Credentials::load(&site.folder().join("buzonera-data/identities/admin"))?;
    let directory = ours.peer(Tier::Directory, "directory-0")?;
    let credentials = Credentials::load(identity)?;
    let address = Site::at(site.ports().directory).to_string();
    let options = ChannelOptions::default();
    let channel = channel(&address, &directory, &credentials, options)?;
    let mut client = Grpc::new(channel);
    client.ready().await.context("ready")?;
    let path = PathAndQuery::from_static(method);
    let answer = client.unary(Request::new(message), path, Raw).await;
    let answer = answer.map(tonic::Response::into_inner);
    ensure!(
        !matches!(&answer, Err(status) if status.code() == Code::Unknown),
        "{answer:?}"
    );
    Ok(answer)
}

/// Messages as octets.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let octets = from.copy_to_bytes(from.remaining());
        Ok(Some(octets.to_vec()))
    }
}
