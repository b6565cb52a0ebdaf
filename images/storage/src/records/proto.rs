//! Generated from `proto/buzonera/storage/v1/*.proto`, which document them.
#![allow(
    missing_docs,
    reason = "generated; the .proto files carry the comments"
)]
#![allow(clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/buzonera.storage.v1.rs"));
