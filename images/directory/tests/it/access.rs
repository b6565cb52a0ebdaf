//! Who may call what, over real certificates.

use kit::authority::Authority;
use kit::frame::access::{TABLE, allowed};
use kit::rpc::{Channel, ChannelOptions, channel};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use wire::identity::Tier;
use wire::ids::ClusterId;

use crate::world::{World, issue};

/// Calls a method with an empty message and takes the first answer.
pub(crate) async fn call(channel: Channel, method: &'static str) -> Result<(), Status> {
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
