//! Who may call what: the table as every RPC server obeys it, over real certificates.

use std::collections::BTreeSet;

use buzonera_kit::frame::access::{TABLE, allowed};
use buzonera_kit::lifecycle::{DRAIN, Shutdown};
use buzonera_kit::listener::{Listener, ListenerConfig};
use buzonera_kit::rpc::server::serve;
use buzonera_kit::rpc::{Channel, channel};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;
use wire::identity::Tier;

use crate::support::{ANY, Cluster, quick};

/// Calls a method with an empty message; no handler is there to answer.
async fn call(channel: &Channel, method: &'static str) -> Code {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let path = PathAndQuery::from_static(method);
    let answer = grpc.unary(Request::new(()), path, codec).await;
    answer.unwrap_err().code()
}

#[tokio::test]
async fn each_tier_may_call_what_the_table_says_and_nothing_else() {
    let cluster = Cluster::new();
    let credentials = cluster.credentials(Tier::Storage, "shard-1");
    let listener = Listener::bind(ListenerConfig::new("rpc", "--listen", ANY)).unwrap();
    let endpoint = listener.local_addr().to_string();
    let shutdown = Shutdown::new(std::time::Duration::ZERO, DRAIN);
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { serve(listener, &credentials, Routes::default(), shutdown).await }
    });
    let expect = cluster.identity(Tier::Storage, "shard-1");
    for &tier in Tier::ALL {
        let from = cluster.credentials(tier, "one");
        let channel = channel(&endpoint, &expect, &from, quick()).unwrap();
        for (method, tiers) in TABLE {
            let passed = match tiers.contains(&tier) {
                true => Code::Unimplemented,
                false => Code::PermissionDenied,
            };
            assert_eq!(call(&channel, method).await, passed, "{tier} {method}");
        }
        let strange = call(&channel, "/buzonera.v1.Shard/Strange").await;
        assert_eq!(strange, Code::PermissionDenied, "{tier}");
    }
    shutdown.trigger();
    serving.await.unwrap().unwrap();
}

#[test]
fn every_method_of_every_service_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/proto/buzonera/v1");
    let mut described = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut service = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                rest.split(' ').next().unwrap().clone_into(&mut service);
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                let method = rest.split('(').next().unwrap();
                described.insert(format!("/buzonera.v1.{service}/{method}"));
            }
        }
    }
    let known: BTreeSet<_> = TABLE
        .iter()
        .map(|(method, _)| (*method).to_owned())
        .collect();
    assert_eq!(described, known);
    assert!(known.iter().all(|method| !allowed(method).is_empty()));
}
