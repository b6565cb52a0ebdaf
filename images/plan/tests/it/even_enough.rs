//! Where every shard is within the tolerance, nothing is planned.

use buzonera_plan::{Load, Standing, Volume};
use proptest::prelude::*;

use crate::sim::{limits, name};

proptest! {
    #[test]
    fn nothing_is_planned(
        tolerance in 3u32..51,
        shards in prop::collection::vec((1u32..1001, -1.0f64..1.0, -1.0f64..1.0), 1..9),
    ) {
        // Each third of the tolerance: the sum of all differs by no more, so that no quotient
        // differs by more than the tolerance.
        let third = f64::from(tolerance) / 300.0;
        let loads: Vec<_> = shards.iter().enumerate().map(|(at, (weight, accounts, bytes))| {
            let weighs = f64::from(*weight) * 1_000_000.0;
            let bytes = (weighs * 1000.0 * (1.0 + third * bytes)) as u64;
            Load {
                shard: name(&format!("s-{at}")),
                standing: Standing::Active,
                serving: true,
                weight: *weight,
                accounts: (weighs * (1.0 + third * accounts)) as u64,
                bytes,
                volume: Some(Volume { size: 1 << 60, free: (1 << 60) - bytes, nearly_full: false }),
            }
        }).collect();
        prop_assert_eq!(buzonera_plan::plan(&loads, &[], &limits(tolerance)), []);
    }
}
