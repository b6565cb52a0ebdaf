//! The journal's records, generated from `proto/embedded/journal.proto`, which documents them.
#![allow(missing_docs, reason = "generated; the .proto file documents them")]
#![allow(clippy::all, reason = "generated")]
#![allow(unreachable_pub, reason = "generated")]

include!(concat!(
    env!("OUT_DIR"),
    "/buzonera.directory.journal.v1.rs"
));
