//! Brings copies to their shards, and follows accounts that moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use kit::rpc::ShardChannels;
use tokio::time::{Instant, timeout_at};
use wire::ids::{Epoch, ShardName};

use super::calls::Calls;
use super::shard::{self, Attempt};
use super::{Copy, Fate, Parcel};
use crate::recipients::{Located, Recipients};
use crate::session::Target;
use crate::spool::NoAnswer;

/// Brings parcels to shards; shared by sessions and the spool.
#[derive(Clone)]
pub struct Courier {
    recipients: Arc<Recipients>,
    channels: ShardChannels,
    calls: Arc<Calls>,
    options: CourierOptions,
}

/// Bounds of the courier.
#[derive(Debug, Clone)]
pub struct CourierOptions {
    /// Deliver calls at once, over all sessions.
    pub max_calls: usize,
    /// How often one copy is followed to where its account moved.
    pub max_follows: usize,
}

/// Accounts of one DeliverHeader at most (shard.proto).
const MAX_TARGETS: usize = 1000;

impl Courier {
    /// A courier that asks `recipients` where accounts are.
    pub fn new(
        recipients: Arc<Recipients>,
        channels: ShardChannels,
        options: CourierOptions,
    ) -> Self {
        let calls = Arc::new(Calls::new(options.max_calls));
        Self {
            recipients,
            channels,
            calls,
            options,
        }
    }

    /// The shard is another process from now on: calls to it go over a new connection.
    pub fn forget(&self, shard: &ShardName) {
        self.channels.forget(shard);
    }

    /// Tries every copy until `deadline`, all shards at once. One fate per copy, in order.
    pub async fn deliver(&self, parcel: &Parcel, copies: &[Copy], deadline: Instant) -> Vec<Fate> {
        let mut fates = vec![Fate::Pending("not tried".into()); copies.len()];
        let mut open: Vec<(usize, Copy)> = copies.iter().cloned().enumerate().collect();
        for _ in 0..=self.options.max_follows {
            let attempts = self.round(parcel, &open, deadline).await;
            let mut moved = Vec::new();
            for ((index, copy), attempt) in open.into_iter().zip(attempts) {
                match attempt {
                    Attempt::Done(fate) => fates[index] = fate,
                    Attempt::Moved(epoch) => {
                        fates[index] = Fate::Pending("the account is on its way".into());
                        moved.push((index, copy, epoch));
                    }
                }
            }
            if moved.is_empty() {
                break;
            }
            open = self.follow(moved, &mut fates).await;
        }
        fates
    }

    /// One attempt for each; one call per shard, all at once.
    async fn round(
        &self,
        parcel: &Parcel,
        open: &[(usize, Copy)],
        deadline: Instant,
    ) -> Vec<Attempt> {
        let groups = by_shard(open);
        let calls = groups.iter().map(|group| {
            let copies: Vec<&Copy> = group.iter().map(|&place| &open[place].1).collect();
            async move { self.call(parcel, &copies, deadline).await }
        });
        let answers = join_all(calls).await;
        let mut attempts = vec![None; open.len()];
        for (group, answer) in groups.iter().zip(answers) {
            for (&place, attempt) in group.iter().zip(answer) {
                attempts[place] = Some(attempt);
            }
        }
        let missing = || Attempt::Done(Fate::Pending("not tried".into()));
        attempts
            .into_iter()
            .map(|attempt| attempt.unwrap_or_else(missing))
            .collect()
    }

    async fn call(&self, parcel: &Parcel, copies: &[&Copy], deadline: Instant) -> Vec<Attempt> {
        let Some(Target {
            shard, endpoint, ..
        }) = copies.first().map(|copy| &copy.target)
        else {
            return Vec::new();
        };
        let Ok(Some(_permits)) = timeout_at(deadline, self.calls.enter(shard)).await else {
            return shard::all_pending(copies, "too many deliveries under way");
        };
        match self.channels.get(shard, endpoint) {
            Ok(channel) => shard::deliver(channel, parcel, copies, deadline).await,
            // A shard that was never up has no endpoint yet.
            Err(error) => shard::all_away(copies, NoAnswer::Refused, &error.to_string()),
        }
    }

    /// Asks where moved accounts are now; what is to be tried again comes back.
    async fn follow(
        &self,
        moved: Vec<(usize, Copy, Epoch)>,
        fates: &mut [Fate],
    ) -> Vec<(usize, Copy)> {
        let accounts: Vec<_> = moved
            .iter()
            .map(|(_, copy, epoch)| (copy.target.account, *epoch))
            .collect();
        let located = self.recipients.locate(&accounts).await;
        let mut open = Vec::new();
        for ((index, copy, _), located) in moved.into_iter().zip(located) {
            match located {
                Located::At(target) => open.push((index, Copy { target, ..copy })),
                Located::Gone => fates[index] = Fate::Gone,
                Located::Unsure | Located::Unasked => {}
            }
        }
        open
    }
}

/// Places in `open` that go into one call: same shard, same endpoint, not too many.
fn by_shard(open: &[(usize, Copy)]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (place, (_, copy)) in open.iter().enumerate() {
        let key = (copy.target.shard.as_str(), copy.target.endpoint.as_str());
        groups.entry(key).or_default().push(place);
    }
    let cut = |group: Vec<usize>| {
        group
            .chunks(MAX_TARGETS)
            .map(<[usize]>::to_vec)
            .collect::<Vec<_>>()
    };
    groups.into_values().flat_map(cut).collect()
}
