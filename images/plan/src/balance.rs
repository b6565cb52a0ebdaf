//! Who has how much, and who should: the ground on which everything else is decided.

use std::collections::{BTreeMap, HashSet};

use wire::ids::{AccountId, ShardName};

use crate::flow::{Flow, Why};
use crate::load::{Load, OpenMove, Standing};
use crate::phi::Spot;
use crate::share::{Share, Sum, WHOLE};
use crate::volume::COPY_WANTS;

/// The shards as they will be once open moves are done, and once that is done which was picked and
/// placed here since.
#[derive(Debug, Clone)]
pub struct Balance {
    /// In the order of names, so that ties are always broken the same way.
    pub(crate) seats: Vec<Seat>,
    pub(crate) sum: Sum,
    pub(crate) picked: HashSet<AccountId>,
}

/// One shard.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) load: Load,
    /// What it should have; a shard that neither gives nor takes for evenness has none.
    pub(crate) target: Option<Share>,
    /// Octets of mail that open moves bring.
    pub(crate) coming: u64,
    /// Octets of mail that they take.
    pub(crate) going: u64,
}

/// A shard's share of all, for whoever wants to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The shard.
    pub shard: ShardName,
    /// Its load, a part of [`WHOLE`].
    pub load: Share,
    /// What its load should be; none: it keeps what it has.
    pub target: Option<Share>,
}

impl Balance {
    /// From what shards told and the moves that are open, in whatever order. A move from or to a shard
    /// that is not among them counts at the other end alone.
    pub fn of(loads: &[Load], open: &[OpenMove]) -> Self {
        let mut seats: Vec<Seat> = loads.iter().map(Seat::from).collect();
        seats.sort_by(|a, b| a.load.shard.cmp(&b.load.shard));
        done(&mut seats, open);
        let mut sum = Sum::default();
        for seat in &seats {
            sum.add(seat.load.accounts, seat.load.bytes);
        }
        let mut balance = Self {
            seats,
            sum,
            picked: HashSet::new(),
        };
        balance.aim();
        balance
    }

    /// Every shard, in the order of names.
    pub fn bars(&self) -> impl Iterator<Item = Bar> + '_ {
        self.seats.iter().enumerate().map(|(at, seat)| Bar {
            shard: seat.load.shard.clone(),
            load: self.load(at),
            target: match seat.is_leaving() {
                true => Some(0),
                false => seat.target,
            },
        })
    }

    /// How many accounts all shards have together.
    pub fn accounts(&self) -> u64 {
        u64::try_from(self.sum.accounts).unwrap_or(u64::MAX)
    }

    /// So many accounts with so many octets, as a flow on these loads: for whoever kept a plan in these
    /// numbers.
    pub fn flow(
        &self,
        (from, to): (&ShardName, &ShardName),
        why: Why,
        accounts: u64,
        bytes: u64,
    ) -> Flow {
        Flow {
            from: from.clone(),
            to: to.clone(),
            why,
            share: self.sum.share(accounts, bytes),
            accounts,
            bytes,
        }
    }

    /// The load of a seat.
    pub(crate) fn load(&self, at: usize) -> Share {
        let load = &self.seats[at].load;
        self.sum.share(load.accounts, load.bytes)
    }

    /// Load and target, for those that have one.
    pub(crate) fn spot(&self, at: usize) -> Option<Spot> {
        let target = self.seats[at].target?;
        let load = self.load(at);
        Some(Spot { load, target })
    }

    pub(crate) fn seat_of(&self, shard: &ShardName) -> Option<usize> {
        let found = self
            .seats
            .binary_search_by(|seat| seat.load.shard.cmp(shard));
        found.ok()
    }

    /// Lets an account be where it is to go.
    pub(crate) fn carry(&mut self, from: usize, to: usize, bytes: u64) {
        self.seats[from].loses(1, bytes);
        self.seats[to].gains(1, bytes);
    }

    /// Shares what is not on shards that keep theirs among those that are Active and have ever served.
    fn aim(&mut self) {
        let kept: Share = (0..self.seats.len())
            .filter(|at| self.seats[*at].keeps())
            .map(|at| self.load(at))
            .sum();
        let shared = u128::from((WHOLE - kept).max(0).unsigned_abs());
        let takers = self.seats.iter().filter(|seat| seat.takes());
        let weights: u128 = takers.map(|seat| u128::from(seat.load.weighs())).sum();
        for seat in &mut self.seats {
            let target = shared * u128::from(seat.load.weighs()) / weights.max(1);
            seat.target = match seat.takes() {
                true => Share::try_from(target).ok(),
                false => None,
            };
        }
    }
}

impl Seat {
    /// Octets of its volume that copies may fill.
    pub(crate) fn room(&self) -> u64 {
        let volume = self.load.volume;
        volume.map_or(0, |volume| volume.room(self.coming))
    }

    /// Whether a copy of so much mail fits.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        bytes.saturating_mul(COPY_WANTS) <= self.room()
    }

    /// Whether its volume is so full that it takes nothing for evenness.
    pub(crate) fn is_tight(&self) -> bool {
        let volume = self.load.volume;
        volume.is_none_or(|volume| volume.is_tight(self.coming))
    }

    /// Octets of mail that its volume has too much of.
    pub(crate) fn surplus(&self) -> u64 {
        let volume = self.load.volume;
        volume.map_or(0, |volume| {
            volume.surplus(self.load.bytes, self.coming, self.going)
        })
    }

    /// Whether it still has, once it has begun to give.
    pub(crate) fn has_excess(&self) -> bool {
        let volume = self.load.volume;
        volume.is_some_and(|volume| volume.excess(self.load.bytes, self.coming, self.going) > 0)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        match self.load.standing {
            Standing::Leaving => true,
            Standing::Active | Standing::Cordoned => false,
        }
    }

    /// It gives and takes for evenness: it is Active, and has ever served.
    fn takes(&self) -> bool {
        match self.load.standing {
            Standing::Active => self.load.volume.is_some(),
            Standing::Cordoned | Standing::Leaving => false,
        }
    }

    fn keeps(&self) -> bool {
        !self.takes() && !self.is_leaving()
    }

    fn gains(&mut self, accounts: u64, bytes: u64) {
        self.load.accounts = self.load.accounts.saturating_add(accounts);
        self.load.bytes = self.load.bytes.saturating_add(bytes);
        self.coming = self.coming.saturating_add(bytes);
    }

    fn loses(&mut self, accounts: u64, bytes: u64) {
        self.load.accounts = self.load.accounts.saturating_sub(accounts);
        self.load.bytes = self.load.bytes.saturating_sub(bytes);
        self.going = self.going.saturating_add(bytes);
    }
}

impl From<&Load> for Seat {
    fn from(load: &Load) -> Self {
        Self {
            load: load.clone(),
            target: None,
            coming: 0,
            going: 0,
        }
    }
}

/// Lets open moves be done. One whose size is not known takes the mean of its source, as it is told.
fn done(seats: &mut [Seat], open: &[OpenMove]) {
    let places: BTreeMap<ShardName, usize> = seats
        .iter()
        .enumerate()
        .map(|(at, seat)| (seat.load.shard.clone(), at))
        .collect();
    let mean = |seat: &Seat| seat.load.bytes / seat.load.accounts.max(1);
    let means: Vec<u64> = seats.iter().map(mean).collect();
    let sized = |open: &OpenMove| {
        let (from, to) = (places.get(&open.from), places.get(&open.to));
        let bytes = open.bytes.or(from.map(|at| means[*at])).unwrap_or(0);
        (from.copied(), to.copied(), bytes)
    };
    // What comes first, or it would matter in which order they are told.
    for (_, to, bytes) in open.iter().map(sized) {
        if let Some(at) = to {
            seats[at].gains(1, bytes);
        }
    }
    for (from, _, bytes) in open.iter().map(sized) {
        if let Some(at) = from {
            seats[at].loses(1, bytes);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::volume::Volume;

    /// A shard with so many accounts of 100 octets each on a volume with much room.
    pub(crate) fn shard(name: &str, accounts: u64) -> Load {
        Load {
            shard: name.parse().unwrap(),
            standing: Standing::Active,
            serving: true,
            weight: 100,
            accounts,
            bytes: accounts * 100,
            volume: Some(Volume {
                size: 1 << 40,
                free: (1 << 40) - accounts * 100,
                nearly_full: false,
            }),
        }
    }

    fn spots(balance: &Balance) -> Vec<(Share, Option<Share>)> {
        let millionth = WHOLE / 1_000_000;
        let bars = balance.bars();
        bars.map(|bar| {
            let target = bar.target.map(|target| target / millionth);
            (bar.load / millionth, target)
        })
        .collect()
    }

    #[test]
    fn targets_are_parts_of_the_weights_of_those_that_take() {
        let mut loads = [shard("b", 30), shard("a", 50), shard("c", 20)];
        let even = Some(333_333);
        let expected = [(500_000, even), (300_000, even), (200_000, even)];
        assert_eq!(spots(&Balance::of(&loads, &[])), expected);
        loads[1].weight = 200;
        let expected = [
            (500_000, Some(500_000)),
            (300_000, Some(250_000)),
            (200_000, Some(250_000)),
        ];
        assert_eq!(spots(&Balance::of(&loads, &[])), expected);
    }

    #[test]
    fn whoever_leaves_has_no_target_and_whoever_is_cordoned_keeps_its_load() {
        let mut loads = [shard("a", 50), shard("b", 30), shard("c", 20)];
        loads[0].standing = Standing::Leaving;
        let half = Some(500_000);
        let expected = [(500_000, Some(0)), (300_000, half), (200_000, half)];
        assert_eq!(spots(&Balance::of(&loads, &[])), expected);
        loads[0].standing = Standing::Cordoned;
        let quarter = Some(250_000);
        let expected = [(500_000, None), (300_000, quarter), (200_000, quarter)];
        assert_eq!(spots(&Balance::of(&loads, &[])), expected);
        loads[0].standing = Standing::Active;
        loads[0].volume = None;
        assert_eq!(spots(&Balance::of(&loads, &[])), expected);
    }

    #[test]
    fn open_moves_count_as_done() {
        let loads = [shard("a", 60), shard("b", 40)];
        let open = OpenMove {
            from: "a".parse().unwrap(),
            to: "b".parse().unwrap(),
            bytes: None,
        };
        let gone = OpenMove {
            to: "x".parse().unwrap(),
            ..open.clone()
        };
        let half = Some(500_000);
        let balance = Balance::of(&loads, &vec![open.clone(); 10]);
        assert_eq!(spots(&balance), [(500_000, half), (500_000, half)]);
        assert_eq!(
            (balance.seats[0].going, balance.seats[1].coming),
            (1000, 1000)
        );
        let balance = Balance::of(&loads, &vec![gone; 20]);
        assert_eq!(spots(&balance), [(500_000, half), (500_000, half)]);
        let balance = Balance::of(&loads, &vec![open; 1000]);
        assert_eq!(balance.seats[0].load.accounts, 0);
    }
}
