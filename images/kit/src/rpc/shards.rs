//! Channels to shards, kept between calls.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wire::identity::Tier;
use wire::ids::ShardName;

use super::channel::{Channel, ChannelOptions, channel};
use super::connect::BadEndpoint;
use crate::tls::Credentials;

/// More shards than any cluster has; beyond it the one unused for longest is closed.
const MAX_CHANNELS: usize = 4096;

/// One channel per shard; cheap to clone. A shard that turns up at another endpoint gets a new
/// channel, calls under way on the old one end as they would.
#[derive(Clone)]
pub struct ShardChannels {
    credentials: Credentials,
    options: ChannelOptions,
    channels: Arc<Mutex<Channels>>,
}

#[derive(Default)]
struct Channels {
    by_shard: HashMap<ShardName, Entry>,
    /// Counts uses, to find the entry unused for longest.
    clock: u64,
}

struct Entry {
    endpoint: String,
    channel: Channel,
    used: u64,
}

impl ShardChannels {
    /// An empty cache.
    pub fn new(credentials: Credentials, options: ChannelOptions) -> Self {
        Self {
            credentials,
            options,
            channels: Arc::default(),
        }
    }

    /// The channel to a shard at `endpoint`, as the route says (`host:port`). The peer must be that
    /// shard, so a route that is out of date reaches nobody else.
    pub fn get(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.lookup(shard, endpoint) {
            return Ok(channel);
        }
        let channel = self.open(shard, endpoint)?;
        channels.insert(shard, endpoint, channel.clone());
        Ok(channel)
    }

    /// The next call to the shard goes over a new connection; calls under way end as they would.
    pub fn forget(&self, shard: &ShardName) {
        self.channels.lock().by_shard.remove(shard);
    }

    fn open(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint> {
        let identity = self
            .credentials
            .peer(Tier::Storage, shard.as_str())
            .expect("a shard's name is a DNS label, as an instance must be");
        channel(endpoint, &identity, &self.credentials, self.options.clone())
    }
}

impl Channels {
    fn lookup(&mut self, shard: &ShardName, endpoint: &str) -> Option<Channel> {
        self.clock += 1;
        let entry = self.by_shard.get_mut(shard)?;
        entry.used = self.clock;
        (entry.endpoint == endpoint).then(|| entry.channel.clone())
    }

    fn insert(&mut self, shard: &ShardName, endpoint: &str, channel: Channel) {
        if self.by_shard.len() >= MAX_CHANNELS && !self.by_shard.contains_key(shard) {
            self.drop_oldest();
        }
        let entry = Entry {
            endpoint: endpoint.to_owned(),
            channel,
            used: self.clock,
        };
        self.by_shard.insert(shard.clone(), entry);
    }

    fn drop_oldest(&mut self) {
        let oldest = self.by_shard.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(shard) = oldest.map(|(shard, _)| shard.clone()) {
            self.by_shard.remove(&shard);
        }
    }
}
