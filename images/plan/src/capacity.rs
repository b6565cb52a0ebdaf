//! Whether there is room for what has to go.

use crate::balance::{Balance, Seat};
use crate::volume::COPY_WANTS;

/// What is on shards that are to be empty, and what the others have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Octets of mail that have to go.
    pub to_move: u64,
    /// Octets of mail that those that take have room for, all together.
    pub room: u64,
    /// Accounts have to go, and nobody takes any: without mail they need no room, but a shard.
    pub nobody_takes: bool,
}

impl Capacity {
    /// Whether all of it finds room, if accounts are not too large for what is left here and there.
    pub fn suffices(&self) -> bool {
        !self.nobody_takes && self.to_move <= self.room
    }
}

impl Balance {
    /// Whether shards that are to be empty can be.
    pub fn capacity(&self) -> Capacity {
        let leaving = self.seats.iter().filter(|seat| seat.is_leaving());
        let goes = leaving.clone().any(|seat| seat.load.accounts > 0);
        let takers = self.seats.iter().filter(|seat| seat.target.is_some());
        Capacity {
            nobody_takes: goes && takers.clone().next().is_none(),
            to_move: leaving.fold(0, |sum, seat| sum.saturating_add(seat.load.bytes)),
            room: takers.fold(0, |sum, seat: &Seat| {
                sum.saturating_add(seat.room() / COPY_WANTS)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::tests::shard;
    use crate::load::{Load, Standing};

    #[test]
    fn only_those_that_take_have_room() {
        let mut loads = [shard("a", 10), shard("b", 20), shard("c", 30)];
        for load in &mut loads {
            let volume = load.volume.as_mut().unwrap();
            (volume.size, volume.free) = (10_000, 4_000);
        }
        loads[1].standing = Standing::Leaving;
        let capacity = Balance::of(&loads, &[]).capacity();
        let expected = Capacity {
            to_move: 2_000,
            room: 2_500,
            nobody_takes: false,
        };
        assert_eq!(capacity, expected);
        assert!(capacity.suffices());
        loads[2].standing = Standing::Cordoned;
        assert!(!Balance::of(&loads, &[]).capacity().suffices());
    }

    #[test]
    fn accounts_without_mail_need_somebody_too() {
        let mut loads = [shard("a", 1), shard("b", 1)];
        loads[0].standing = Standing::Leaving;
        loads[0].bytes = 0;
        let suffices = |loads: &[Load]| Balance::of(loads, &[]).capacity().suffices();
        assert!(suffices(&loads));
        loads[1].standing = Standing::Cordoned;
        assert!(!suffices(&loads));
        loads[0].accounts = 0;
        assert!(suffices(&loads));
    }
}
