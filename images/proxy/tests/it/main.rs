//! The proxy over real sockets: a real gRPC directory that answers by script, real TLS shards
//! that say what they are told.

mod client;
mod directory;
mod hostile;
mod lifecycle;
mod limits;
mod login;
mod metrics;
mod moved;
mod proxied;
mod shard;
mod stls;
mod throttle;
mod world;
