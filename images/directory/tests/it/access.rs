//! Who may call what, over real certificates.

use buzonera_directory::access::{TABLE, allowed};
use kit::authority::Authority;
use kit::rpc::{Channel, ChannelOptions, channel};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use wire::identity::Tier;
use wire::ids::ClusterId;

use crate::world::{World, issue};

/// Calls a method with an empty message and takes the first answer.
async fn call(channel: Channel, method: &'static str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<(), ()>::default();
    let path = PathAndQuery::from_static(method);
    grpc.server_streaming(Request::new(()), path, codec)
        .await?
        .into_inner()
        .message()
        .await
        .map(drop)
}

#[tokio::test]
async fn each_tier_calls_what_the_table_allows_and_nothing_else() {
    let world = World::start().await;
    for &tier in Tier::ALL {
        let channel = world.channel(tier, "one");
        for (method, _) in TABLE {
            let code = call(channel.clone(), method)
                .await
                .map_err(|status| status.code());
            let refused = code == Err(Code::PermissionDenied);
            let may = allowed(method).contains(&tier);
            assert_eq!(refused, !may, "{tier} {method}: {code:?}");
        }
    }
}

#[tokio::test]
async fn a_method_that_is_not_in_the_table_is_allowed_to_nobody() {
    let world = World::start().await;
    let channel = world.channel(Tier::Admin, "root");
    let status = call(channel, "/buzonera.v1.Admin/Strange")
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
}

#[tokio::test]
async fn another_authority_is_refused() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    for cluster in [world.authority.cluster(), ClusterId::random()] {
        let place = folder.path().join(cluster.to_string());
        let foreign = Authority::create(&place.join("ca"), cluster).unwrap();
        let credentials = issue(&foreign, &place, Tier::Admin, "root");
        let expect = credentials.peer(Tier::Directory, "directory-0").unwrap();
        let options = ChannelOptions::default();
        let channel = channel(&world.endpoint, &expect, &credentials, options).unwrap();
        let status = call(channel, "/buzonera.v1.Admin/Status")
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[test]
fn every_method_that_is_served_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/proto/buzonera/v1");
    let mut served = Vec::new();
    for (file, service) in [
        ("directory.proto", "Directory"),
        ("registry.proto", "Registry"),
        ("admin.proto", "Admin"),
    ] {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        for line in text.lines() {
            if let Some(rest) = line.trim().strip_prefix("rpc ") {
                let method = rest.split('(').next().unwrap();
                served.push(format!("/buzonera.v1.{service}/{method}"));
            }
        }
    }
    let mut known: Vec<_> = TABLE
        .iter()
        .map(|(method, _)| (*method).to_owned())
        .collect();
    served.sort();
    known.sort();
    assert_eq!(served, known);
}
