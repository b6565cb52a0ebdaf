//! How much goes from where to where.

use crate::balance::{Balance, Seat};
use crate::fill::{Band, Taker, even, fill};
use crate::flow::{Flow, Why};
use crate::load::{Limits, Load, OpenMove};
use crate::pair::{Party, Queue};
use crate::phi::{Spot, falls};
use crate::share::{Share, portion, rounded, share_of_portion};
use crate::volume::COPY_WANTS;

/// A shard that is to be empty and has no more accounts than this offers one to whichever shard has
/// most room: it may be too large for all that should take it.
const LAST_ACCOUNTS: u64 = 64;

/// What has to go from which shard to which so that those that are to be empty are, no volume is too
/// full, and all others are within the tolerance, with as little moved as can be. Nothing, when all
/// that is so.
///
/// The order in which loads and moves are told does not matter. What would go from or to a shard that
/// does not serve now is left out, not sent elsewhere.
pub fn plan(loads: &[Load], open: &[OpenMove], limits: &Limits) -> Vec<Flow> {
    Balance::of(loads, open).plan(limits)
}

impl Balance {
    /// As [`plan`], from what is known here.
    pub fn plan(&self, limits: &Limits) -> Vec<Flow> {
        self.planned(limits, Rooms::Told)
    }

    /// As [`plan`], if every volume had room for everything.
    pub fn plan_without_volumes(&self, limits: &Limits) -> Vec<Flow> {
        self.planned(limits, Rooms::Endless)
    }

    fn planned(&self, limits: &Limits, rooms: Rooms) -> Vec<Flow> {
        let mut draft = Draft::of(self, limits, rooms);
        draft.leaving();
        draft.full();
        draft.uneven();
        draft.flows()
    }
}

/// What volumes have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rooms {
    /// What their shards told.
    Told,
    /// Everything.
    Endless,
}

/// A plan in the making: loads and rooms as they will be.
struct Draft<'a> {
    balance: &'a Balance,
    limits: &'a Limits,
    kind: Rooms,
    loads: Vec<Share>,
    rooms: Vec<u64>,
    parts: Vec<Part>,
}

/// A flow in the making.
struct Part {
    why: Why,
    from: usize,
    to: usize,
    share: Share,
    /// One account goes even if that is more than the share.
    at_least_one: bool,
}

impl<'a> Draft<'a> {
    fn of(balance: &'a Balance, limits: &'a Limits, kind: Rooms) -> Self {
        let all = 0..balance.seats.len();
        let room = |seat: &Seat| match kind {
            Rooms::Told => seat.room(),
            Rooms::Endless => u64::MAX,
        };
        Self {
            balance,
            limits,
            kind,
            loads: all.map(|at| balance.load(at)).collect(),
            rooms: balance.seats.iter().map(room).collect(),
            parts: Vec::new(),
        }
    }

    /// All of what is on shards that are to be empty.
    fn leaving(&mut self) {
        let seats = self.balance.seats.iter().zip(&self.loads);
        let gives: Vec<Share> = seats
            .map(|(seat, load)| match seat.is_leaving() {
                // Not even one account is too little to count.
                true if seat.load.accounts > 0 => (*load).max(1),
                true | false => 0,
            })
            .collect();
        let takes = self.filled(gives.iter().sum(), |_| true);
        self.bring_together(Why::Leaving, &gives, &takes);
        self.offer_the_last();
    }

    /// What full volumes have too much of, whatever the loads.
    fn full(&mut self) {
        let all = 0..self.balance.seats.len();
        let gives: Vec<Share> = all.map(|at| self.surplus(at)).collect();
        let takes = self.filled(gives.iter().sum(), self.may_take());
        self.bring_together(Why::Full, &gives, &takes);
    }

    /// The least that brings all into their bands.
    fn uneven(&mut self) {
        let takers = self.takers(self.may_take());
        let (gives, takes) = even(&takers.iter().map(|(_, taker)| *taker).collect::<Vec<_>>());
        let (gives, takes) = (self.at_seats(&takers, gives), self.at_seats(&takers, takes));
        self.bring_together(Why::Uneven, &gives, &takes);
    }

    /// Which shards may take what need not go.
    fn may_take(&self) -> fn(&Seat) -> bool {
        match self.kind {
            Rooms::Told => |seat| !seat.is_tight(),
            Rooms::Endless => |seat| seat.surplus() == 0,
        }
    }

    fn surplus(&self, at: usize) -> Share {
        let seat = &self.balance.seats[at];
        match seat.is_leaving() {
            true => 0,
            false => share_of_portion(seat.surplus(), seat.load.bytes, self.balance.load(at)),
        }
    }

    fn filled(&self, need: Share, may: fn(&Seat) -> bool) -> Vec<Share> {
        let takers = self.takers(may);
        let takes = fill(
            &takers.iter().map(|(_, taker)| *taker).collect::<Vec<_>>(),
            need,
        );
        self.at_seats(&takers, takes)
    }

    /// Those with a target; one that may not take has no room.
    fn takers(&self, may: fn(&Seat) -> bool) -> Vec<(usize, Taker)> {
        let seats = self.balance.seats.iter().enumerate();
        let taker = |(at, seat): (usize, &Seat)| {
            let room = match may(seat) {
                true => self.balance.sum.mean_share(self.rooms[at] / COPY_WANTS),
                false => 0,
            };
            let load = self.loads[at];
            let band = Band::around(seat.target?, self.limits);
            Some((at, Taker { load, band, room }))
        };
        seats.filter_map(taker).collect()
    }

    fn at_seats(&self, takers: &[(usize, Taker)], amounts: Vec<Share>) -> Vec<Share> {
        let mut at_seats = vec![0; self.loads.len()];
        for ((at, _), amount) in takers.iter().zip(amounts) {
            at_seats[*at] = amount;
        }
        at_seats
    }

    /// Pairs the one that gives most with the one that takes most until one side is done.
    fn bring_together(&mut self, why: Why, gives: &[Share], takes: &[Share]) {
        let (mut givers, mut takers) = (Queue::of(gives), Queue::of(takes));
        while let (Some(from), Some(to)) = (givers.next(), takers.next()) {
            let wanted = self.wanted(why, from, to);
            if wanted == 0 {
                // One account is far more than this giver should give, or than the taker should get.
                match from.amount < self.mean(from.at) / 2 {
                    true => takers.put(to),
                    false => givers.put(from),
                }
                continue;
            }
            let share = self.with_room(why, from.at, to.at, wanted);
            self.note(why, from.at, to.at, share);
            givers.put(from.without(share));
            if share == wanted {
                takers.put(to.without(share));
            }
        }
    }

    /// How much these two should do; for evenness at least a whole account, if that is better than
    /// none.
    fn wanted(&self, why: Why, from: Party, to: Party) -> Share {
        let both = from.amount.min(to.amount);
        match why {
            Why::Leaving | Why::Full => both,
            Why::Uneven => {
                let mean = self.mean(from.at);
                if both >= mean {
                    return both;
                }
                // What rounding leaves is nothing.
                let enough = from.amount.max(to.amount) >= mean / 2 && both > mean / 1000;
                let falls = |from, to| falls(from, to, mean);
                let better = self.spot(from.at).zip(self.spot(to.at));
                match enough && better.is_some_and(|(from, to)| falls(from, to)) {
                    true => mean,
                    false => 0,
                }
            }
        }
    }

    /// As much of it as there is room for.
    fn with_room(&self, why: Why, from: usize, to: usize, wanted: Share) -> Share {
        let bytes = self.balance.seats[from].load.bytes;
        let load = self.balance.load(from);
        let fits = self.rooms[to] / COPY_WANTS;
        if portion(wanted, load, bytes) <= fits {
            return wanted;
        }
        let share = share_of_portion(fits, bytes, load).min(wanted);
        match why {
            Why::Uneven if share < self.mean(from) => 0,
            Why::Leaving | Why::Full | Why::Uneven => share,
        }
    }

    fn note(&mut self, why: Why, from: usize, to: usize, share: Share) {
        if share == 0 {
            return;
        }
        let bytes = self.balance.seats[from].load.bytes;
        let bytes = portion(share, self.balance.load(from), bytes);
        self.loads[from] -= share;
        self.loads[to] += share;
        self.rooms[to] = self.rooms[to].saturating_sub(bytes.saturating_mul(COPY_WANTS));
        self.parts.push(Part {
            why,
            from,
            to,
            share,
            at_least_one: false,
        });
    }

    /// The share of one of a shard's accounts, on the average; at least 1.
    fn mean(&self, at: usize) -> Share {
        let accounts = Share::try_from(self.balance.seats[at].load.accounts);
        (self.balance.load(at) / accounts.unwrap_or(Share::MAX).max(1)).max(1)
    }

    fn spot(&self, at: usize) -> Option<Spot> {
        let target = self.balance.seats[at].target?;
        let load = self.loads[at];
        Some(Spot { load, target })
    }

    fn offer_the_last(&mut self) {
        let takers = self.takers(|_| true).into_iter().map(|(at, _)| at);
        let roomiest = takers.rev().max_by_key(|at| self.rooms[*at]);
        let Some(to) = roomiest.filter(|at| self.rooms[*at] > 0) else {
            return;
        };
        for (from, seat) in self.balance.seats.iter().enumerate() {
            let is_last = (1..=LAST_ACCOUNTS).contains(&seat.load.accounts);
            if !seat.is_leaving() || !is_last {
                continue;
            }
            let mut parts = self.parts.iter_mut();
            match parts.find(|part| part.from == from && part.to == to) {
                Some(part) => part.at_least_one = true,
                None => self.parts.push(Part {
                    why: Why::Leaving,
                    from,
                    to,
                    share: 1,
                    at_least_one: true,
                }),
            }
        }
    }

    /// The flows between shards that serve, with what they are in accounts and bytes: what a shard
    /// gives to several is rounded so that the sum is right.
    fn flows(self) -> Vec<Flow> {
        let seats = &self.balance.seats;
        let mut told: Vec<(Share, u64, u64)> = vec![(0, 0, 0); seats.len()];
        let mut flows = Vec::new();
        for part in &self.parts {
            let (from, to) = (&seats[part.from].load, &seats[part.to].load);
            let load = self.balance.load(part.from);
            let before = told[part.from];
            let share = before.0 + part.share;
            let accounts = rounded(share, load, from.accounts).max(1);
            let bytes = portion(share, load, from.bytes);
            told[part.from] = (share, accounts, bytes);
            let flow = Flow {
                from: from.shard.clone(),
                to: to.shard.clone(),
                why: part.why,
                share: part.share,
                accounts: (accounts - before.1).max(u64::from(part.at_least_one)),
                bytes: bytes - before.2,
            };
            if flow.accounts > 0 && from.serving && to.serving {
                flows.push(flow);
            }
        }
        flows
    }
}
