//! A shard that rebuilds what it serves from.

use crds::mailbox_shard::Recovering;
use wire::rpc::ShardInfo;
use wire::rpc::opening::How;

/// A word about its opening that is older says how it was.
const FRESH_MS: u64 = 30_000;

/// How far it has come, if it does now.
pub fn recovering(info: &ShardInfo) -> Option<Recovering> {
    let is_fresh = info.opening_age_ms.is_some_and(|age| age < FRESH_MS);
    match info.opening.as_ref()?.how.as_ref()? {
        How::Recovers(recovers) if is_fresh => Some(Recovering {
            percent: i32::try_from(recovers.percent).unwrap_or(100),
            minutes_left: recovers
                .minutes_left
                .and_then(|left| i32::try_from(left).ok()),
        }),
        How::Recovers(_) | How::Opens(_) => None,
    }
}

/// Likewise, its percentage alone.
pub fn percent(info: &ShardInfo) -> Option<u32> {
    let percent = recovering(info)?.percent;
    u32::try_from(percent).ok()
}
