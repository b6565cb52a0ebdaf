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

/// What of a flow is not yet covered.
struct Left {
    share: Share,
    bytes: u64,
    /// Nothing was picked yet.
    all: bool,
}

impl Balance {
    /// The accounts, out of those of the shard that gives, that make up the flow. They count as moved
    /// here from then on, and none is picked twice.
    ///
    /// Each of them finds room where it goes, and makes loads more even if that is what it goes for.
    /// So fewer may come of it than the flow says, or none, and also of a flow that was planned long
    /// ago: nothing, when one of its shards does not give or take any more.
    pub fn pick(&mut self, flow: &Flow, accounts: &[AccountSize]) -> Vec<AccountId> {
        let Some((from, to)) = self.ends(flow) else {
            return Vec::new();
        };
        let mut left = Left {
            share: flow.share,
            bytes: flow.bytes,
            all: true,
        };
        let mut picked = Vec::new();
        for account in in_order(accounts, &flow.to) {
            if left.is_covered(flow.why) {
                break;
            }
            let share = self.sum.share(1, account.bytes);
            if self.goes(account, flow.why, &left, (from, to)) {
                self.carry(from, to, account.bytes);
                self.picked.insert(account.account);
                picked.push(account.account);
                left.share -= share;
                left.bytes = left.bytes.saturating_sub(account.bytes);
                left.all = false;
            }
        }
        picked
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

    fn goes(
        &self,
        account: &AccountSize,
        why: Why,
        left: &Left,
        (from, to): (usize, usize),
    ) -> bool {
        let held = match (account.hold, why) {
            (Hold::Free, _) | (Hold::MovedLately, Why::Leaving) => false,
            (Hold::MovedLately, Why::Full | Why::Uneven) | (Hold::Fast, _) => true,
        };
        if held || self.picked.contains(&account.account) || !self.seats[to].fits(account.bytes) {
            return false;
        }
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
