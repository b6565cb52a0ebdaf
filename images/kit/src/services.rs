//! RPC clients and servers, generated from `wire`'s `.proto` files, which document them.
#![allow(
    missing_docs,
    reason = "generated; the .proto files carry the comments"
)]
#![allow(clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/buzonera.v1.rs"));
