//! Where a new account goes: to the shard that is furthest below its target.

use wire::ids::ShardName;

use crate::balance::{Balance, Seat};
use crate::load::Standing;
use crate::share::Share;

/// Where a new account goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The shard.
    pub shard: ShardName,
    /// How many are Active.
    pub of: usize,
}

/// Why no shard takes a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// There is none.
    #[error("no shard is Active: start one, or make one Active again")]
    NoneActive,
    /// None has room.
    #[error("the volume of every Active shard is nearly full: free some room, or start another")]
    AllFull,
}

/// How well a shard is fit to take a new account; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// As a plan would have it.
    Target,
    /// It has not yet told how much room it has.
    New,
    /// It is so full that a plan gives it nothing.
    Tight,
    /// It does not serve: the account waits for it.
    Away,
}

impl Balance {
    /// The shard of a new, empty account, which counts there from then on.
    ///
    /// Of those that are fit, the one whose load is least beside its target. So no account that was
    /// placed is better off elsewhere, and plans leave it where it is. A shard that does not serve is
    /// taken only when there is no other, and one that is nearly full never.
    pub fn place(&mut self) -> Result<Place, NoPlace> {
        let active = |seat: &Seat| match seat.load.standing {
            Standing::Active => true,
            Standing::Cordoned | Standing::Leaving => false,
        };
        let active: Vec<usize> = (0..self.seats.len())
            .filter(|at| active(&self.seats[*at]))
            .collect();
        if active.is_empty() {
            return Err(NoPlace::NoneActive);
        }
        self.sum.add(1, 0);
        let chosen = self.chosen(&active).ok_or(NoPlace::AllFull)?;
        let seat = &mut self.seats[chosen];
        seat.load.accounts = seat.load.accounts.saturating_add(1);
        Ok(Place {
            shard: seat.load.shard.clone(),
            of: active.len(),
        })
    }

    /// The first name, where two are as far below.
    fn chosen(&self, active: &[usize]) -> Option<usize> {
        let fit = |at: &usize| Some((fitness(&self.seats[*at])?, *at));
        let fit: Vec<_> = active.iter().filter_map(fit).collect();
        let best = fit.iter().map(|(fitness, _)| *fitness).min()?;
        let one = self.sum.share(1, 0);
        let mut best_fit = fit.iter().filter(|(fitness, _)| *fitness == best);
        let mut chosen = best_fit.next()?.1;
        for (_, at) in best_fit {
            if self.is_further_below(*at, chosen, one) {
                chosen = *at;
            }
        }
        Some(chosen)
    }

    /// Whether Φ is lower with one account more on the first than with it on the second. Targets are
    /// in proportion to weights.
    fn is_further_below(&self, one: usize, other: usize, share: Share) -> bool {
        let twice = |at: usize| i128::from(2 * self.load(at) + share);
        let weighs = |at: usize| i128::from(self.seats[at].load.weighs());
        twice(one) * weighs(other) < twice(other) * weighs(one)
    }
}

fn fitness(seat: &Seat) -> Option<Fitness> {
    match seat.load.volume {
        Some(volume) if volume.nearly_full => None,
        _ if !seat.load.serving => Some(Fitness::Away),
        None => Some(Fitness::New),
        Some(_) if seat.is_tight() => Some(Fitness::Tight),
        Some(_) => Some(Fitness::Target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::tests::shard;
    use crate::load::Load;

    fn placed(loads: &[Load]) -> Result<String, NoPlace> {
        let placed = Balance::of(loads, &[]).place();
        placed.map(|place| place.shard.to_string())
    }

    #[test]
    fn new_accounts_are_spread_by_weight() {
        let mut loads = [shard("a", 0), shard("b", 0), shard("c", 0)];
        loads[2].weight = 200;
        let mut balance = Balance::of(&loads, &[]);
        for _ in 0..400 {
            balance.place().unwrap();
        }
        let accounts: Vec<_> = balance.seats.iter().map(|it| it.load.accounts).collect();
        assert_eq!(accounts, [100, 100, 200]);
    }

    #[test]
    fn an_account_goes_where_it_counts_least() {
        let mut loads = [shard("a", 0), shard("b", 0)];
        loads[1].weight = 300;
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        // Three quarters of an account are missing on a, and one and a quarter is on b.
        loads[1].accounts = 2;
        assert_eq!(placed(&loads).as_deref(), Ok("a"));
    }

    #[test]
    fn bytes_weigh_as_much_as_accounts() {
        let mut loads = [shard("a", 100), shard("b", 110)];
        assert_eq!(placed(&loads).as_deref(), Ok("a"));
        loads[0].bytes = 900;
        loads[1].bytes = 100;
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
    }

    #[test]
    fn a_shard_that_does_not_serve_is_the_last_resort() {
        let mut loads = [shard("a", 0), shard("b", 50)];
        loads[0].serving = false;
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        loads[1].serving = false;
        assert_eq!(placed(&loads).as_deref(), Ok("a"));
        assert_eq!(placed(&[]), Err(NoPlace::NoneActive));
        loads[0].standing = Standing::Cordoned;
        loads[1].standing = Standing::Leaving;
        assert_eq!(placed(&loads), Err(NoPlace::NoneActive));
    }

    #[test]
    fn a_tight_shard_is_a_late_resort_and_a_full_one_is_none() {
        let mut loads = [shard("a", 0), shard("b", 50)];
        let free = |load: &mut Load, percent: u64, nearly_full| {
            let volume = load.volume.as_mut().unwrap();
            volume.free = volume.size / 100 * percent;
            volume.nearly_full = nearly_full;
        };
        free(&mut loads[0], 20, false);
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        free(&mut loads[1], 20, false);
        assert_eq!(placed(&loads).as_deref(), Ok("a"));
        free(&mut loads[0], 4, true);
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        loads[1].serving = false;
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        free(&mut loads[1], 4, true);
        assert_eq!(placed(&loads), Err(NoPlace::AllFull));
    }

    #[test]
    fn a_new_shard_waits_until_it_has_told_its_room() {
        let mut loads = [shard("a", 0), shard("b", 50)];
        loads[0].volume = None;
        assert_eq!(placed(&loads).as_deref(), Ok("b"));
        loads[1].volume = None;
        assert_eq!(placed(&loads).as_deref(), Ok("a"));
    }
}
