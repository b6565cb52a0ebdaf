//! Which accounts make up a flow, by how large they are: pure.
//!
//! How large an account is only its shard knows. Those that would go are asked for, and what is told
//! decides anew who goes, until nobody would go who was not asked for. One whose size is not told
//! counts as one of the mean size.

use std::collections::HashMap;

use plan::{AccountSize, Balance, Flow, Hold, Pick};
use wire::ids::AccountId;

/// The directory tells no more sizes at once.
const ASKED: usize = 1000;

/// So often a flow is picked anew.
const LOOKS: u32 = 8;

/// A shard that gives.
#[derive(Debug, Default)]
pub(super) struct Giver {
    accounts: Vec<(AccountId, Hold)>,
    /// Octets; none: it was asked for, and not told.
    sizes: HashMap<AccountId, Option<u64>>,
    /// It was asked, and told nothing.
    is_silent: bool,
}

/// What is next.
pub(super) enum Step {
    /// These are to be asked for.
    Ask(Vec<AccountId>),
    /// These go, and then shards are so.
    Go(Box<Balance>, Pick),
}

/// How often the accounts of a flow may still be asked for.
#[derive(Debug)]
pub(super) struct Looks(u32);

impl Looks {
    pub(super) fn new() -> Self {
        Self(LOOKS)
    }
}

impl Giver {
    pub(super) fn new(accounts: Vec<(AccountId, Hold)>) -> Self {
        Self {
            accounts,
            ..Self::default()
        }
    }

    /// All of them.
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.accounts.iter().map(|(account, _)| *account)
    }

    /// Picks out of its accounts, `most` at most. `has_time`: there is some to ask.
    pub(super) fn step(
        &self,
        balance: &Balance,
        (flow, most): (&Flow, usize),
        looks: &mut Looks,
        has_time: bool,
    ) -> Step {
        let mut after = balance.clone();
        let pick = after.pick(flow, &self.sized(flow), most);
        let unknown = pick.accounts.iter();
        let unknown = unknown.filter(|account| !self.sizes.contains_key(account));
        let unknown: Vec<_> = unknown.take(ASKED).copied().collect();
        if unknown.is_empty() || self.is_silent || looks.0 == 0 || !has_time {
            return Step::Go(Box::new(after), pick);
        }
        looks.0 -= 1;
        Step::Ask(unknown)
    }

    /// What its shard says of those that were asked for.
    pub(super) fn told(&mut self, asked: &[AccountId], told: &HashMap<AccountId, u64>) {
        self.is_silent = told.is_empty();
        let sizes = asked.iter().map(|id| (*id, told.get(id).copied()));
        self.sizes.extend(sizes);
    }

    fn sized(&self, flow: &Flow) -> Vec<AccountSize> {
        let mean = flow.bytes.checked_div(flow.accounts).unwrap_or(0);
        let sized = |(account, hold): &(AccountId, Hold)| AccountSize {
            account: *account,
            bytes: self.sizes.get(account).copied().flatten().unwrap_or(mean),
            hold: *hold,
        };
        self.accounts.iter().map(sized).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use plan::{Limits, Load, Standing, Volume, order};

    use super::*;

    /// Two shards, one of which has nothing.
    struct Game {
        giver: Giver,
        balance: Balance,
        flow: Flow,
        /// In the order in which they would go.
        ids: Vec<AccountId>,
        asked: Vec<AccountId>,
    }

    fn id(number: u32) -> AccountId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        AccountId::from_bytes(id)
    }

    impl Game {
        /// `bytes`: of all accounts together.
        fn new(accounts: u32, bytes: u64) -> Self {
            let load = |name: &str, accounts: u32, bytes| Load {
                shard: name.parse().unwrap(),
                standing: Standing::Active,
                serving: true,
                weight: 100,
                accounts: u64::from(accounts),
                bytes,
                volume: Some(Volume {
                    size: 1 << 40,
                    free: 1 << 39,
                    nearly_full: false,
                }),
            };
            let loads = [load("a-0", accounts, bytes), load("a-1", 0, 0)];
            let balance = Balance::of(&loads, &[]);
            let limits = Limits {
                tolerance_percent: 10,
            };
            let flow = balance.plan(&limits).remove(0);
            let mut ids: Vec<_> = (0..accounts).map(id).collect();
            ids.sort_by_key(|id| order(*id, &flow.to));
            Self {
                giver: Giver::new(ids.iter().map(|id| (*id, Hold::Free)).collect()),
                balance,
                flow,
                ids,
                asked: Vec::new(),
            }
        }

        /// Those that go when the shard tells these sizes.
        fn picked(&mut self, most: usize, tell: impl Fn(AccountId) -> Option<u64>) -> Pick {
            let mut looks = Looks::new();
            loop {
                let of = (&self.flow, most);
                let ids = match self.giver.step(&self.balance, of, &mut looks, true) {
                    Step::Go(_, pick) => return pick,
                    Step::Ask(ids) => ids,
                };
                assert!(ids.len() <= ASKED);
                let told = ids.iter().filter_map(|id| Some((*id, tell(*id)?)));
                self.giver.told(&ids, &told.collect());
                self.asked.extend(ids);
            }
        }
    }

    #[test]
    fn one_that_would_be_too_much_stays_and_others_go_instead() {
        let mut game = Game::new(20, 10_000 + 19 * 10);
        let huge = game.ids[0];
        let size = |id| Some(if id == huge { 10_000 } else { 10 });
        let pick = game.picked(usize::MAX, size);
        assert!(!pick.accounts.contains(&huge), "{pick:?}");
        assert!(pick.accounts.len() > 15, "{pick:?}");
        assert!(pick.stays.no_better > 0, "{pick:?}");
        let asked: HashSet<_> = game.asked.iter().collect();
        assert_eq!(asked.len(), game.asked.len(), "one was asked for twice");
        // Nobody knew better.
        let mut silent = Game::new(20, 10_000 + 19 * 10);
        let pick = silent.picked(usize::MAX, |_| None);
        assert_eq!(pick.accounts, silent.ids[..9]);
    }

    #[test]
    fn only_those_are_asked_for_that_would_go() {
        let mut game = Game::new(5000, 5000 * 100);
        let pick = game.picked(64, |_| Some(100));
        assert_eq!(pick.accounts, game.ids[..64]);
        assert_eq!(game.asked, game.ids[..64]);
        // The next flow from there knows them.
        let pick = game.picked(80, |_| Some(100));
        assert_eq!((pick.accounts.len(), game.asked.len()), (80, 80));
    }

    #[test]
    fn a_silent_shard_is_asked_once() {
        let mut game = Game::new(5000, 5000 * 100);
        assert_eq!(game.picked(2000, |_| None).accounts.len(), 2000);
        assert_eq!(game.asked.len(), ASKED);
        assert_eq!(game.picked(2000, |_| None).accounts.len(), 2000);
        assert_eq!(game.asked.len(), ASKED);
    }

    #[test]
    fn one_that_was_not_told_has_the_mean_size() {
        let mut game = Game::new(20, 10_000 + 19 * 10);
        let (huge, told) = (game.ids[0], game.ids[1]);
        let pick = game.picked(usize::MAX, |id| (id == told).then_some(10));
        assert!(pick.accounts.contains(&huge), "{pick:?}");
        assert!(pick.accounts.contains(&told), "{pick:?}");
    }

    #[test]
    fn it_ends_though_all_that_are_asked_for_are_too_large() {
        let mut game = Game::new(20_000, 20_000 * 100);
        let pick = game.picked(1000, |_| Some(1 << 40));
        assert_eq!(game.asked.len(), ASKED * LOOKS as usize);
        assert_eq!(pick.accounts, game.ids[8000..9000]);
    }
}
