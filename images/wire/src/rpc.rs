//! The RPC messages, generated from `proto/buzonera/v1/*.proto`, which document them.
#![allow(
    missing_docs,
    reason = "generated; the .proto files carry the comments"
)]
#![allow(clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/buzonera.v1.rs"));
