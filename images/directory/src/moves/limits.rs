//! What moves may cost: a record of the store, obeyed by whoever drives them. Pure.

use prost::Message as _;
use wire::rpc::MoveLimits;

use crate::model::Key;
use crate::model::records::MoveLimitsRecord;
use crate::store::Txn;

/// Moves under way at once: each keeps two shards' disks busy, and has some memory here.
const MAX_OPEN: u32 = 1024;

/// Moves at once from one shard, and to one: they keep its disk busy, and leave it to the mail.
pub const PER_SHARD: u32 = 4;

/// A disk and a network have more, and the rest is for the mail.
const BYTES_PER_SECOND: u64 = 50 << 20;

/// With less, the parts of all copies together would take so long that targets take it for the end.
const LEAST_PER_SECOND: u64 = 1 << 20;

/// Limits that cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes_per_second: write {LEAST_PER_SECOND} at least")]
pub struct TooSlow;

/// The limits that hold, with the defaults where nothing is set.
pub fn effective(set: Option<MoveLimits>) -> MoveLimits {
    let MoveLimits {
        max_open,
        per_shard,
        bytes_per_second,
        paused,
    } = set.unwrap_or_default();
    let or = |value: u32, default| if value == 0 { default } else { value };
    MoveLimits {
        max_open: or(max_open, MAX_OPEN),
        per_shard: or(per_shard, PER_SHARD),
        bytes_per_second: match bytes_per_second {
            0 => BYTES_PER_SECOND,
            set => set.max(LEAST_PER_SECOND),
        },
        paused,
    }
}

/// Adds what sets limits; what they come to then.
pub fn set_limits(txn: Txn, limits: MoveLimits, now_ms: i64) -> Result<(Txn, MoveLimits), TooSlow> {
    let slow = 0 < limits.bytes_per_second && limits.bytes_per_second < LEAST_PER_SECOND;
    if slow {
        return Err(TooSlow);
    }
    let record = MoveLimitsRecord {
        limits: Some(limits),
        changed_at_ms: now_ms,
    };
    let txn = txn.put(Key::MoveLimits.to_string(), record.encode_to_vec());
    Ok((txn, effective(Some(limits))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_default() {
        let default = effective(None);
        assert_eq!(default, effective(Some(MoveLimits::default())));
        assert_eq!((default.per_shard, default.paused), (PER_SHARD, false));
        assert_eq!(default.bytes_per_second, BYTES_PER_SECOND);
    }

    #[test]
    fn what_is_set_holds_and_what_would_end_every_copy_is_refused() {
        let set = |bytes_per_second| {
            let limits = MoveLimits {
                bytes_per_second,
                paused: true,
                ..MoveLimits::default()
            };
            set_limits(Txn::new(), limits, 1).map(|(_, limits)| limits)
        };
        assert_eq!(set(LEAST_PER_SECOND - 1), Err(TooSlow));
        let limits = set(LEAST_PER_SECOND).unwrap();
        assert_eq!(
            (limits.bytes_per_second, limits.paused),
            (LEAST_PER_SECOND, true)
        );
        assert_eq!(set(0).unwrap().bytes_per_second, BYTES_PER_SECOND);
    }
}
