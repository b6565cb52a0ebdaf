//! The directory against real stores: embedded on a real folder, and a real etcd.

mod access;
mod admin_accounts;
mod admin_aliases;
mod admin_domains;
mod admin_import;
mod admin_moves;
mod admin_replace;
mod admin_retries;
mod admin_shards;
mod admin_sweep;
mod answers;
mod cluster;
mod election;
mod etcd;
mod etcd_tls;
mod following;
mod freshness;
mod lagging;
mod lookups;
mod moves;
mod registry;
mod serving;
mod store_embedded;
mod store_etcd;
mod store_suite;
mod world;
