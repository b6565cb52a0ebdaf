//! Which moves take their turns, and which rest: pure.
//!
//! Only moves that take their turns are in hand, and those are bounded. What waits (for a shard, for
//! a place, for time to pass) is set aside and costs one entry here, so that it keeps no other move
//! from being driven; it is looked at again after a pause, or when what it waits for comes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use wire::ids::{AccountId, ShardName};
use wire::rpc::MovePhase;

use super::MovesConfig;
use super::places::Ends;

#[cfg(test)]
mod tests;

/// Longest pause of a move one of whose shards holds no lease: it goes on when the lease is back.
const LONGEST_WITHOUT_LEASE: Duration = Duration::from_secs(30);

/// One lane has at most this part of what is in hand: each of its moves may wait for a whole
/// deadline, when a shard holds its lease and does not answer.
const PART_OF_A_LANE: usize = 8;

/// All open moves.
pub(super) struct Roster {
    most: usize,
    first_pause: Duration,
    longest_pause: Duration,
    moves: HashMap<AccountId, Listed>,
    lanes: Vec<Lane>,
    /// The lanes, by where they lead; none: a record that cannot be read.
    by_ends: HashMap<Option<Ends>, usize>,
    resting: BTreeSet<(Instant, AccountId)>,
    in_hand: usize,
    numbers: u64,
}

/// The moves between the same two shards.
struct Lane {
    ends: Option<Ends>,
    /// Both shards held their leases when last asked.
    leased: bool,
    /// Those whose turn it is: what is late goes last, else what came first goes first.
    ready: BTreeSet<(bool, u64, AccountId)>,
    crowded: BTreeSet<(u64, AccountId)>,
    in_hand: usize,
}

struct Listed {
    lane: usize,
    pause: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready {
        late: bool,
        number: u64,
    },
    /// Poked: its record has become another meanwhile.
    InHand {
        poked: bool,
    },
    Resting(Instant),
    Crowded(u64),
}

impl Roster {
    pub(super) fn new(config: &MovesConfig) -> Self {
        Self {
            most: config.in_hand.max(1),
            first_pause: config.first_pause,
            longest_pause: config.longest_pause,
            moves: HashMap::new(),
            lanes: Vec::new(),
            by_ends: HashMap::new(),
            resting: BTreeSet::new(),
            in_hand: 0,
            numbers: 0,
        }
    }

    /// An open move. What has begun comes before what is planned.
    pub(super) fn list(
        &mut self,
        account: AccountId,
        phase: MovePhase,
        ends: impl FnOnce() -> Option<Ends>,
    ) {
        if self.moves.contains_key(&account) {
            return;
        }
        let listed = Listed {
            lane: self.lane(ends()),
            pause: self.first_pause,
            state: State::InHand { poked: false },
        };
        self.moves.insert(account, listed);
        self.ready(account, phase == MovePhase::Planned);
    }

    /// Those that were decided by another than the driver have their last turn at once, whatever they
    /// wait for. All that are open are listed.
    pub(super) fn keep(&mut self, is_open: impl Fn(AccountId) -> bool) {
        let accounts = self.moves.keys().copied();
        for account in accounts
            .filter(|account| !is_open(*account))
            .collect::<Vec<_>>()
        {
            self.poke(account);
        }
    }

    fn lane(&mut self, ends: Option<Ends>) -> usize {
        *self.by_ends.entry(ends.clone()).or_insert_with(|| {
            self.lanes.push(Lane {
                ends,
                leased: true,
                ready: BTreeSet::new(),
                crowded: BTreeSet::new(),
                in_hand: 0,
            });
            self.lanes.len() - 1
        })
    }

    /// Asks which shards hold their leases; what waited for one that is back goes on.
    pub(super) fn ask_leases(&mut self, holds_lease: impl Fn(&ShardName) -> bool) {
        let mut back = Vec::new();
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let both = |ends: &Ends| holds_lease(&ends.source) && holds_lease(&ends.target);
            let leased = lane.ends.as_ref().is_none_or(both);
            if leased && !lane.leased {
                back.push(number);
            }
            lane.leased = leased;
        }
        if back.is_empty() {
            return;
        }
        let waits = |account: &AccountId| back.contains(&self.moves[account].lane);
        let resting = self.resting.iter().map(|(_, account)| *account);
        for account in resting.filter(waits).collect::<Vec<_>>() {
            self.poke(account);
        }
    }

    /// The next move is in hand, and has to be put down, or to be over, some time.
    pub(super) fn begin(&mut self) -> Option<AccountId> {
        if self.in_hand >= self.most {
            return None;
        }
        let most = (self.most / PART_OF_A_LANE).max(1);
        let lanes = self.lanes.iter_mut().filter(|lane| lane.in_hand < most);
        let firsts = lanes.filter_map(|lane| Some((lane.ready.first().copied()?, lane)));
        let ((_, _, account), lane) = firsts.min_by_key(|(first, _)| *first)?;
        lane.in_hand += 1;
        self.in_hand += 1;
        self.set(account, State::InHand { poked: false });
        Some(account)
    }

    /// The move in hand has come on: the next pause is a short one.
    pub(super) fn came_on(&mut self, account: AccountId) {
        if let Some(listed) = self.moves.get_mut(&account) {
            listed.pause = self.first_pause;
        }
    }

    /// The move in hand rests until then.
    pub(super) fn rests(&mut self, account: AccountId, until: Instant) {
        self.put_down(account, |_| State::Resting(until));
    }

    /// The move in hand rests after a failure, each time longer.
    pub(super) fn backs_off(&mut self, account: AccountId, now: Instant) {
        let Some(listed) = self.moves.get_mut(&account) else {
            return;
        };
        let longest = match self.lanes[listed.lane].leased {
            true => self.longest_pause,
            false => LONGEST_WITHOUT_LEASE.max(self.longest_pause),
        };
        let pause = listed.pause.min(longest);
        listed.pause = pause * 2;
        self.rests(account, now + pause);
    }

    /// The move in hand waits for places at its ends, as its record has them: the map may have shown
    /// the account's move before this one.
    pub(super) fn waits_for_places(&mut self, account: AccountId, ends: Ends) {
        let lane = self.lane(Some(ends));
        self.change_lane(account, lane);
        self.put_down(account, State::Crowded);
    }

    /// The move in hand is in this lane, where there may be one too many for now.
    fn change_lane(&mut self, account: AccountId, lane: usize) {
        if let Some(listed) = self.moves.get_mut(&account) {
            self.lanes[listed.lane].in_hand -= 1;
            self.lanes[lane].in_hand += 1;
            listed.lane = lane;
        }
    }

    /// Places may be free: those that can `take` them go on, in order.
    pub(super) fn places_are_free(&mut self, take: impl Fn(AccountId, &Ends) -> bool) {
        let mut seated = Vec::new();
        for lane in &self.lanes {
            let Some(ends) = &lane.ends else { continue };
            let crowded = lane.crowded.iter().map(|(_, account)| *account);
            // Where one finds no place, the next between the same shards finds none either.
            seated.extend(crowded.take_while(|account| take(*account, ends)));
        }
        for account in seated {
            self.ready(account, false);
        }
    }

    /// The move in hand is over.
    pub(super) fn over(&mut self, account: AccountId) {
        if let Some(listed) = self.moves.remove(&account) {
            self.in_hand -= 1;
            self.lanes[listed.lane].in_hand -= 1;
        }
    }

    /// When the next rest is over.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.resting.first().map(|(until, _)| *until)
    }

    /// Those whose rest is over go on.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((until, account)) = self.resting.first().copied() {
            if until > now {
                return;
            }
            self.ready(account, true);
        }
    }

    /// It goes on at once; if it is in hand, once more.
    fn poke(&mut self, account: AccountId) {
        self.came_on(account);
        match self.moves.get_mut(&account).map(|listed| &mut listed.state) {
            Some(State::InHand { poked }) => *poked = true,
            _ => self.ready(account, false),
        }
    }

    fn put_down(&mut self, account: AccountId, state: impl FnOnce(u64) -> State) {
        let Some(listed) = self.moves.get(&account) else {
            return;
        };
        self.in_hand -= 1;
        self.lanes[listed.lane].in_hand -= 1;
        if listed.state == (State::InHand { poked: true }) {
            return self.ready(account, false);
        }
        self.numbers += 1;
        self.set(account, state(self.numbers));
    }

    fn ready(&mut self, account: AccountId, late: bool) {
        self.numbers += 1;
        let number = self.numbers;
        self.set(account, State::Ready { late, number });
    }

    /// Takes it from one list to another.
    fn set(&mut self, account: AccountId, state: State) {
        let Some(listed) = self.moves.get_mut(&account) else {
            return;
        };
        let lane = &mut self.lanes[listed.lane];
        match std::mem::replace(&mut listed.state, state) {
            State::Ready { late, number } => lane.ready.remove(&(late, number, account)),
            State::Resting(until) => self.resting.remove(&(until, account)),
            State::Crowded(number) => lane.crowded.remove(&(number, account)),
            State::InHand { .. } => false,
        };
        match state {
            State::Ready { late, number } => lane.ready.insert((late, number, account)),
            State::Resting(until) => self.resting.insert((until, account)),
            State::Crowded(number) => lane.crowded.insert((number, account)),
            State::InHand { .. } => false,
        };
    }
}
