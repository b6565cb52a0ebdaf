//! Where room is missing.

use std::collections::BTreeMap;

use wire::ids::ShardName;

use crate::balance::Balance;
use crate::flow::Flow;
use crate::volume::COPY_WANTS;

/// A shard that should take more than nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The shard.
    pub shard: ShardName,
    /// Octets of mail that should come to it.
    pub wanted: u64,
    /// Octets of mail that its volume has room for; none, if it is too full to take any.
    pub room: u64,
}

impl Balance {
    /// What would come to whom by these flows, and has room there, in the order of names: for
    /// whoever has found by [`plan_without_volumes`](Self::plan_without_volumes) that more would
    /// move if there were room for it.
    pub fn lacks(&self, flows: &[Flow]) -> Vec<Lack> {
        let mut wanted: BTreeMap<&ShardName, u64> = BTreeMap::new();
        for flow in flows {
            let wanted = wanted.entry(&flow.to).or_default();
            *wanted = wanted.saturating_add(flow.bytes);
        }
        let room = |shard: &ShardName| {
            let seat = &self.seats[self.seat_of(shard)?];
            (!seat.is_tight()).then(|| seat.room() / COPY_WANTS)
        };
        let lacks = wanted.into_iter().map(|(shard, wanted)| Lack {
            shard: shard.clone(),
            wanted,
            room: room(shard).unwrap_or(0),
        });
        lacks.collect()
    }

    /// The shards whose volumes have too much.
    pub fn too_full(&self) -> Vec<ShardName> {
        let full = self.seats.iter().filter(|seat| seat.surplus() > 0);
        full.map(|seat| seat.load.shard.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::tests::shard;
    use crate::flow::Why;
    use crate::load::{Limits, Standing};
    use crate::volume::Volume;

    const LIMITS: Limits = Limits {
        tolerance_percent: 10,
    };

    fn volume(size: u64, free: u64) -> Option<Volume> {
        Some(Volume {
            size,
            free,
            nearly_full: false,
        })
    }

    #[test]
    fn without_room_nothing_is_planned_and_what_is_missing_is_told() {
        let mut loads = [shard("a", 60), shard("b", 60), shard("c", 0)];
        for load in &mut loads {
            load.weight = 100;
        }
        loads[2].volume = volume(10_000, 1600);
        let balance = Balance::of(&loads, &[]);
        assert_eq!(balance.plan(&LIMITS), []);
        let flows = balance.plan_without_volumes(&LIMITS);
        let lack = |room| Lack {
            shard: "c".parse().unwrap(),
            wanted: 3600,
            room,
        };
        // Four fifths of it are full.
        assert_eq!(balance.lacks(&flows), [lack(0)]);
        loads[2].volume = volume(1_000_000, 990_000);
        let balance = Balance::of(&loads, &[]);
        assert_eq!(balance.plan(&LIMITS), flows);
        assert_eq!(balance.lacks(&flows), [lack(420_000)]);
    }

    #[test]
    fn a_volume_that_is_too_full_lacks_room_elsewhere() {
        let mut loads = [shard("a", 90), shard("b", 90)];
        for load in &mut loads {
            load.volume = volume(10_000, 1000);
        }
        let balance = Balance::of(&loads, &[]);
        assert_eq!(balance.plan_without_volumes(&LIMITS), []);
        assert_eq!(balance.too_full().len(), 2);
        loads[1].volume = volume(10_000, 1600);
        let balance = Balance::of(&loads, &[]);
        assert_eq!(balance.plan(&LIMITS), []);
        let flows = balance.plan_without_volumes(&LIMITS);
        assert_eq!((flows.len(), flows[0].why), (1, Why::Full));
        assert_eq!(balance.too_full(), ["a".parse().unwrap()]);
        loads[0].standing = Standing::Leaving;
        let balance = Balance::of(&loads, &[]);
        let flows = balance.plan_without_volumes(&LIMITS);
        assert_eq!((flows.len(), flows[0].why), (1, Why::Leaving));
        assert_eq!(balance.lacks(&flows)[0].wanted, 9000);
    }
}
