//! The records, generated from `proto/buzonera/directory/v1/records.proto`, which documents them.
#![allow(
    missing_docs,
    reason = "generated; the .proto file carries the comments"
)]
#![allow(clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/buzonera.directory.v1.rs"));
