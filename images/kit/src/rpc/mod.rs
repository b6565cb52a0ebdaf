//! gRPC between processes: mutual TLS, deadlines, reconnects.
//!
//! A message has at most 4 MiB, tonic's default for receiving: bodies travel in chunks of at most
//! 256 KiB, lists in pages of 1,000 rows.

mod body;
mod caller;
mod channel;
mod connect;
pub mod deadline;
pub mod directory;
mod host;
mod refusal;
pub mod server;
mod shards;
mod unanswered;

pub use caller::{Caller, caller, method, peer};
pub use channel::{Channel, ChannelOptions, channel, is_unsent};
pub use connect::{BadEndpoint, ConnectError};
pub use directory::{DirectoryClient, Replica, ReplicaList};
pub(crate) use host::fuzz as fuzz_host;
pub use host::{BadHost, Host};
pub use refusal::{refusal, refused};
pub use shards::ShardChannels;
pub use unanswered::{unanswered, word_of};

/// HTTP/2 window of one stream, both ways: a few 256 KiB chunks of a body in flight.
pub const STREAM_WINDOW: u32 = 1 << 20;

/// HTTP/2 window of one connection, both ways. What a slow handler leaves unread is bounded by it.
pub const CONNECTION_WINDOW: u32 = 4 << 20;
