//! Levelling: what is taken off columns so that the highest is as low as can be.

/// How high a column stands, and by how much it goes down at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) height: i64,
    pub(crate) limit: i64,
}

impl Column {
    /// What is above a level, as far as it can go.
    fn above(&self, level: i64) -> i64 {
        (self.height - level).clamp(0, self.limit.max(0))
    }
}

/// How much to take off each column so that `amount` is taken in all, or as much as the limits allow.
/// What cannot be shared evenly comes from the first ones.
pub(crate) fn level(columns: &[Column], amount: i64) -> Vec<i64> {
    let taken_at = |level: i64| columns.iter().map(|it| it.above(level)).sum::<i64>();
    let at = |level: i64| -> Vec<i64> { columns.iter().map(|it| it.above(level)).collect() };
    let floor = columns.iter().map(|it| it.height - it.limit.max(0)).min();
    let top = columns.iter().map(|it| it.height).max();
    let (Some(floor), Some(top)) = (floor, top) else {
        return Vec::new();
    };
    if taken_at(floor) <= amount {
        return at(floor);
    }
    // The highest level at which more than the amount is taken, and the one above.
    let (mut low, mut high) = (floor, top);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        match taken_at(middle) > amount {
            true => low = middle,
            false => high = middle,
        }
    }
    let mut taken = at(high);
    let mut rest = amount.max(0) - taken.iter().sum::<i64>();
    for (taken, column) in taken.iter_mut().zip(columns) {
        if rest > 0 && column.above(low) > *taken {
            *taken += 1;
            rest -= 1;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(height: i64, limit: i64) -> Column {
        Column { height, limit }
    }

    #[test]
    fn the_highest_go_down_first() {
        let columns = [column(10, 100), column(7, 100), column(1, 100)];
        assert_eq!(level(&columns, 3), [3, 0, 0]);
        assert_eq!(level(&columns, 5), [4, 1, 0]);
        assert_eq!(level(&columns, 6), [5, 1, 0]);
        assert_eq!(level(&columns, 19), [11, 7, 1]);
        assert_eq!(level(&columns, 0), [0, 0, 0]);
        assert_eq!(level(&[], 5), [0; 0]);
    }

    #[test]
    fn no_column_goes_further_than_it_can() {
        let columns = [column(10, 2), column(7, 100), column(-4, 1)];
        assert_eq!(level(&columns, 9), [2, 7, 0]);
        assert_eq!(level(&columns, 15), [2, 12, 1]);
        assert_eq!(level(&columns, 500), [2, 100, 1]);
        assert_eq!(level(&[column(3, -1)], 5), [0]);
    }

    proptest! {
        #[test]
        fn all_is_taken_and_what_is_left_is_level(
            columns in prop::collection::vec((-50i64..50, 0i64..40), 1..6),
            amount in 0i64..200,
        ) {
            let columns: Vec<_> = columns.into_iter().map(|(h, l)| column(h, l)).collect();
            let taken = level(&columns, amount);
            let most: i64 = columns.iter().map(|it| it.limit).sum();
            prop_assert_eq!(taken.iter().sum::<i64>(), amount.min(most));
            for (taken, column) in taken.iter().zip(&columns) {
                prop_assert!((0..=column.limit).contains(taken));
            }
            // One that could go down further is not more than a step above one that went down.
            for (a, taken_a) in columns.iter().zip(&taken) {
                for (b, taken_b) in columns.iter().zip(&taken) {
                    if taken_a < &a.limit && *taken_b > 0 {
                        prop_assert!(a.height - taken_a <= b.height - taken_b + 1);
                    }
                }
            }
        }
    }
}
