//! etcd's messages and clients, generated from `proto/etcd/etcd.proto`.
#![allow(
    missing_docs,
    reason = "generated; etcd's API reference documents them"
)]
#![allow(clippy::all, reason = "generated")]
#![allow(unreachable_pub, reason = "generated")]
#![allow(dead_code, reason = "generated constructors that are not used")]

include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
