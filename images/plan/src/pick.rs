//! Which accounts go.

use wire::ids::{AccountId, ShardName};
use xxhash_rust::xxh3::xxh3_64;

use crate::balance::Balance;
use crate::flow::{Flow, Why};
use crate::phi::falls;
use crate::share::Share;

/// An account of the shard that gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSize {
    /// Its id.
    pub account: AccountId,
    /// Octets of its mail.
    pub bytes: u64,
    /// Whether something keeps it where it is.
    pub hold: Hold,
}

/// Whether something keeps an account where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Nothing.
    Free,
    /// It moved not long ago; it goes only if its shard is to be empty.
    MovedLately,
    /// It cannot be moved now: a move of it is open, or it is not Active or Removed.
    Fast,
}

/// Where an account stands among those that may go to a shard: the lowest goes first. It is the same
/// each time, and by chance, so that those that go are a fair sample.
pub fn order(account: AccountId, target: &ShardName) -> u64 {
    let name = target.as_str().as_bytes();
    let text = [account.as_bytes().as_slice(), name].concat();
    xxh3_64(&text)
}

/// What came of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pick {
    /// The accounts that go.
    pub accounts: Vec<AccountId>,
    /// How many of the others do not, and why.
    pub stays: Stays,
}

/// How many accounts stay where they are, and why. What cannot be moved now for reasons of its own,
/// and what was picked before, is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stays {
    /// They would go, but for having moved not long ago.
    pub lately: u64,
    /// Where they would go is no room for them.
    pub no_room: u64,
    /// They would make nothing better, most of them since they are too large.
    pub no_better: u64,
}

/// Whether an account goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Goes,
    Fast,
    Lately,
    NoRoom,
    NoBetter,
}

/// What of a flow is not yet covered.
struct Left {
    share: Share,
    bytes: u64,
    /// Nothing was picked yet.
    all: bool,
}

impl Balance {
    /// The accounts, out of those of the shard that gives, that make up the flow, and `most` at most.
    /// They count as moved here from then on, and none is picked twice.
    ///
    /// Each of them finds room where it goes, and makes loads more even if that is what it goes for.
    /// So fewer may come of it than the flow says, or none, and also of a flow that was planned long
    /// ago: nothing, when one of its shards does not give or take any more.
    pub fn pick(&mut self, flow: &Flow, accounts: &[AccountSize], most: usize) -> Pick {
        let mut pick = Pick::default();
        let Some((from, to)) = self.ends(flow) else {
            return pick;
        };
        let mut left = Left {
            share: flow.share,
            bytes: flow.bytes,
            all: true,
        };
        for account in in_order(accounts, &flow.to) {
            if left.is_covered(flow.why) || pick.accounts.len() >= most {
                break;
            }
            match self.verdict(account, flow.why, &left, (from, to)) {
                Verdict::Goes => {
                    left.share -= self.sum.share(1, account.bytes);
                    left.bytes = left.bytes.saturating_sub(account.bytes);
                    left.all = false;
                    self.carry(from, to, account.bytes);
                    self.picked.insert(account.account);
                    pick.accounts.push(account.account);
                }
                Verdict::Fast => {}
                Verdict::Lately => pick.stays.lately += 1,
                Verdict::NoRoom => pick.stays.no_room += 1,
                Verdict::NoBetter => pick.stays.no_better += 1,
            }
        }
        pick
    }

    /// Both seats, if one still gives and the other takes.
    fn ends(&self, flow: &Flow) -> Option<(usize, usize)> {
        let (from, to) = (self.seat_of(&flow.from)?, self.seat_of(&flow.to)?);
        let (gives, takes) = (&self.seats[from], &self.seats[to]);
        let wanted = match flow.why {
            Why::Leaving => gives.is_leaving(),
            Why::Full => !takes.is_tight(),
            Why::Uneven => gives.target.is_some() && !takes.is_tight(),
        };
        let serve = gives.load.serving && takes.load.serving;
        (wanted && serve && takes.target.is_some() && from != to).then_some((from, to))
    }

    fn verdict(
        &self,
        account: &AccountSize,
        why: Why,
        left: &Left,
        (from, to): (usize, usize),
    ) -> Verdict {
        let moved_lately = match account.hold {
            Hold::Fast => return Verdict::Fast,
            Hold::MovedLately => why != Why::Leaving,
            Hold::Free => false,
        };
        if self.picked.contains(&account.account) {
            return Verdict::Fast;
        }
        if !self.seats[to].fits(account.bytes) {
            return Verdict::NoRoom;
        }
        match self.is_better(account, why, left, (from, to)) {
            false => Verdict::NoBetter,
            true if moved_lately => Verdict::Lately,
            true => Verdict::Goes,
        }
    }

    fn is_better(
        &self,
        account: &AccountSize,
        why: Why,
        left: &Left,
        (from, to): (usize, usize),
    ) -> bool {
        let share = self.sum.share(1, account.bytes);
        match why {
            // All go in the end, so that the flow is only met as nearly as can be.
            Why::Leaving => left.all || share / 2 <= left.share,
            // An empty one frees nothing.
            Why::Full => account.bytes > 0 && self.seats[from].has_excess(),
            Why::Uneven => {
                let spots = self.spot(from).zip(self.spot(to));
                share <= left.share && spots.is_some_and(|(from, to)| falls(from, to, share))
            }
        }
    }
}

impl Left {
    fn is_covered(&self, why: Why) -> bool {
        match why {
            Why::Leaving | Why::Uneven => self.share <= 0,
            Why::Full => self.bytes == 0,
        }
    }
}

fn in_order<'a>(accounts: &'a [AccountSize], target: &ShardName) -> Vec<&'a AccountSize> {
    let mut sorted: Vec<_> = accounts
        .iter()
        .map(|account| (order(account.account, target), account.account, account))
        .collect();
    sorted.sort_by_key(|(order, id, _)| (*order, *id));
    sorted.into_iter().map(|(_, _, account)| account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::tests::shard;
    use crate::load::Limits;

    fn account(number: u8, bytes: u64, hold: Hold) -> AccountSize {
        AccountSize {
            account: AccountId::from_bytes([number; 16]),
            bytes,
            hold,
        }
    }

    /// What is picked of these, where nine accounts of 100 octets should go to a shard that is empty
    /// and has room for so much mail.
    fn picked(accounts: &[AccountSize], room: u64, most: usize) -> (usize, Stays) {
        let mut loads = [shard("a", 20), shard("b", 0)];
        let volume = loads[1].volume.as_mut().unwrap();
        (volume.size, volume.free) = (100_000, 15_000 + room * 2);
        loads[1].weight = 100;
        loads[0].weight = 100;
        let limits = Limits {
            tolerance_percent: 10,
        };
        let wide = Balance::of(&[shard("a", 20), shard("b", 0)], &[]);
        let flows = wide.plan(&limits);
        assert_eq!((flows.len(), flows[0].accounts), (1, 9));
        let pick = Balance::of(&loads, &[]).pick(&flows[0], accounts, most);
        (pick.accounts.len(), pick.stays)
    }

    #[test]
    fn whoever_stays_is_counted_by_what_keeps_it() {
        let all = |hold, bytes| (0..20).map(move |number| account(number, bytes, hold));
        let free: Vec<_> = all(Hold::Free, 100).collect();
        let none = Stays::default();
        assert_eq!(picked(&free, 40_000, usize::MAX), (9, none));
        assert_eq!(picked(&free, 40_000, 4), (4, none));
        let lately: Vec<_> = all(Hold::MovedLately, 100).collect();
        let stays = |lately, no_room, no_better| Stays {
            lately,
            no_room,
            no_better,
        };
        assert_eq!(picked(&lately, 40_000, usize::MAX), (0, stays(20, 0, 0)));
        let fast: Vec<_> = all(Hold::Fast, 100).collect();
        assert_eq!(picked(&fast, 40_000, usize::MAX), (0, none));
        // Not even later would these go.
        let large: Vec<_> = all(Hold::MovedLately, 5000).collect();
        assert_eq!(picked(&large, 40_000, usize::MAX), (0, stays(0, 0, 20)));
        assert_eq!(picked(&large, 4000, usize::MAX), (0, stays(0, 20, 0)));
    }

    #[test]
    fn one_that_is_larger_than_what_is_left_is_passed_by() {
        let mut accounts = vec![account(0, 1900, Hold::Free)];
        accounts.extend((1..20).map(|number| account(number, 5, Hold::Free)));
        let (picks, stays) = picked(&accounts, 40_000, usize::MAX);
        // Beside it, what would be more than is to go.
        assert_eq!((picks, stays.no_better), (17, 3));
    }
}
