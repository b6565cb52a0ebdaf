//! How uneven loads are: Φ, the sum over shards of target · (load / target − 1)².

use crate::share::Share;

/// A shard's load and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) load: Share,
    pub(crate) target: Share,
}

/// Whether Φ falls when so much goes from one to the other.
///
/// A shard's part of Φ is (load − target)² / target. The difference that the step makes, times both
/// targets and divided by the step, is below 0 when this holds.
pub(crate) fn falls(from: Spot, to: Spot, step: Share) -> bool {
    let wide = i128::from;
    let costs = wide(step) * (wide(from.target) + wide(to.target));
    let gains = wide(from.load) * wide(to.target) - wide(to.load) * wide(from.target);
    step > 0 && costs < 2 * gains
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::share::WHOLE;

    /// Φ of two, times both targets.
    fn phi(from: Spot, to: Spot) -> i128 {
        let square = |spot: Spot| (i128::from(spot.load) - i128::from(spot.target)).pow(2);
        square(from) * i128::from(to.target) + square(to) * i128::from(from.target)
    }

    proptest! {
        #[test]
        fn as_the_sum_itself_says(
            loads in (0..WHOLE, 0..WHOLE),
            targets in (1..WHOLE, 1..WHOLE),
            step in 1..WHOLE,
        ) {
            let from = Spot { load: loads.0, target: targets.0 };
            let to = Spot { load: loads.1, target: targets.1 };
            let after = (
                Spot { load: from.load - step, ..from },
                Spot { load: to.load + step, ..to },
            );
            prop_assert_eq!(falls(from, to, step), phi(after.0, after.1) < phi(from, to));
        }
    }

    #[test]
    fn nothing_is_no_step() {
        let full = Spot {
            load: WHOLE,
            target: 1,
        };
        let empty = Spot {
            load: 0,
            target: WHOLE,
        };
        assert!(!falls(full, empty, 0));
        assert!(falls(full, empty, WHOLE - 1));
    }
}
