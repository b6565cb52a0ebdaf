//! A plan that was approved, as it runs: pure.

use std::time::{Duration, Instant};

use plan::{Balance, Load};
use wire::ids::ShardName;
use wire::rpc::{Move, MovePhase};

use super::carry::Wanted;
use super::decide::Fate;
use super::kept::{Part, Plan};
use super::seen::mean;
use super::stop::{Tag, is_open};

/// What is remembered of the plan that runs. All of it may be forgotten: what was asked for also
/// stands in the status, and the directory remembers a day of moves.
#[derive(Debug, Default)]
pub struct Memory {
    /// The plan, and how many accounts were asked for, flow by flow.
    asked: (String, Vec<u64>),
    /// Since when nothing came of it.
    fruitless_since: Option<Instant>,
}

/// A plan that runs, at one moment.
#[derive(Debug)]
pub struct Run {
    id: String,
    parts: Vec<Part>,
    /// Moves of it that have not ended.
    open: usize,
    /// Moves of it that came to nothing.
    aborted: u64,
    /// Which of its shards do not serve: what cannot move now may be able to later.
    away: Vec<ShardName>,
}

impl Run {
    /// By what the status says, what the directory remembers and what this process does: whoever
    /// knows of most is right, since nothing of it is ever taken back.
    pub fn of(plan: &Plan, moves: &[Move], loads: &[Load], memory: &Memory) -> Self {
        let mine: Vec<&Move> = moves.iter().filter(|told| told.plan == plan.id).collect();
        let known = match memory.asked.0 == plan.id {
            true => memory.asked.1.as_slice(),
            false => &[],
        };
        let parts = plan.parts.iter().enumerate().map(|(place, part)| {
            let is_of_it = |told: &&&Move| {
                told.source == part.from.as_str() && told.target == part.to.as_str()
            };
            let counted = u64::try_from(mine.iter().filter(is_of_it).count()).unwrap_or(u64::MAX);
            let known = known.get(place).copied().unwrap_or(0);
            Part {
                asked: part.asked.max(counted).max(known),
                ..part.clone()
            }
        });
        let aborted = mine
            .iter()
            .filter(|told| told.phase() == MovePhase::Aborted);
        let parts: Vec<Part> = parts.collect();
        Self {
            id: plan.id.clone(),
            open: mine.iter().filter(|told| is_open(told.phase())).count(),
            aborted: u64::try_from(aborted.count()).unwrap_or(u64::MAX),
            away: away(&parts, loads),
            parts,
        }
    }

    /// Which of the shards do not serve that are to give or take what is left of it.
    pub fn away(&self) -> &[ShardName] {
        &self.away
    }

    /// What is left of it, flow by flow.
    pub(super) fn wanted(&self, balance: &Balance, loads: &[Load]) -> Vec<Wanted> {
        let rest = |part: &Part| {
            let giver = loads.iter().find(|load| load.shard == part.from);
            Wanted {
                flow: part.rest(balance, giver.map_or(0, mean)),
                tag: Tag::Plan(self.id.clone()),
                most: usize::try_from(part.left()).unwrap_or(usize::MAX),
            }
        };
        self.parts.iter().map(rest).collect()
    }

    /// How far it is, now that so many more were asked for; its flows are the last of these. `could`:
    /// more moves could have been open. It is over when all was asked for and has ended, or when for a
    /// while nothing that is left could be asked for.
    pub fn fate(
        self,
        more: &[usize],
        could: bool,
        memory: &mut Memory,
        (now, patience): (Instant, Duration),
    ) -> (String, Fate) {
        let more = &more[more.len().saturating_sub(self.parts.len())..];
        let more = more.iter().map(|more| u64::try_from(*more).unwrap_or(0));
        let asked: Vec<u64> = self
            .parts
            .iter()
            .zip(more)
            .map(|(part, more)| part.asked + more)
            .collect();
        let undone = self.parts.iter().zip(&asked);
        let undone: u64 = undone
            .map(|(part, asked)| part.accounts.saturating_sub(*asked))
            .sum();
        let before: u64 = self.parts.iter().map(|part| part.asked).sum();
        let is_idle = self.open == 0 && asked.iter().sum::<u64>() == before;
        let id = self.id;
        memory.asked = (id.clone(), asked.clone());
        if !is_idle || !could || !self.away.is_empty() {
            memory.fruitless_since = None;
            return (id, Fate::Runs(asked));
        }
        let since = *memory.fruitless_since.get_or_insert(now);
        if undone > 0 && now - since < patience {
            return (id, Fate::Runs(asked));
        }
        *memory = Memory::default();
        (id, Fate::Over(undone + self.aborted))
    }
}

fn away(parts: &[Part], loads: &[Load]) -> Vec<ShardName> {
    let unfinished = parts.iter().filter(|part| part.left() > 0);
    let mut ends: Vec<&ShardName> = unfinished.flat_map(|part| [&part.from, &part.to]).collect();
    ends.sort();
    ends.dedup();
    let is_away = |shard: &&ShardName| {
        let found = loads.iter().find(|load| load.shard == **shard);
        found.is_some_and(|load| !load.serving)
    };
    ends.into_iter().filter(is_away).cloned().collect()
}

#[cfg(test)]
mod tests {
    use plan::{Standing, Why};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn plan(accounts: u64, asked: u64) -> Plan {
        let part = Part {
            from: "a-0".parse().unwrap(),
            to: "a-1".parse().unwrap(),
            why: Why::Uneven,
            accounts,
            bytes: accounts * 100,
            asked,
        };
        Plan {
            id: "7f3a".to_owned(),
            parts: vec![part],
        }
    }

    fn loads(serving: bool) -> Vec<Load> {
        let load = |name: &str| Load {
            shard: name.parse().unwrap(),
            standing: Standing::Active,
            serving,
            weight: 100,
            accounts: 10,
            bytes: 2000,
            volume: None,
        };
        vec![load("a-0"), load("a-1")]
    }

    fn moves(phases: &[MovePhase]) -> Vec<Move> {
        let told = |phase: &MovePhase| Move {
            source: "a-0".to_owned(),
            target: "a-1".to_owned(),
            plan: "7f3a".to_owned(),
            phase: (*phase).into(),
            ..Move::default()
        };
        phases.iter().map(told).collect()
    }

    struct Game {
        memory: Memory,
        now: Instant,
    }

    impl Game {
        fn new() -> Self {
            Self {
                memory: Memory::default(),
                now: Instant::now(),
            }
        }

        fn fate(&mut self, plan: &Plan, phases: &[MovePhase], more: usize) -> Fate {
            self.at(plan, phases, more, true)
        }

        fn at(&mut self, plan: &Plan, phases: &[MovePhase], more: usize, serving: bool) -> Fate {
            let run = Run::of(plan, &moves(phases), &loads(serving), &self.memory);
            run.fate(&[7, more], true, &mut self.memory, (self.now, PATIENCE))
                .1
        }
    }

    #[test]
    fn it_is_over_when_all_has_ended() {
        use MovePhase::{Copying, Done, Planned};
        let mut game = Game::new();
        let plan = plan(2, 0);
        assert_eq!(game.fate(&plan, &[], 2), Fate::Runs(vec![2]));
        assert_eq!(game.fate(&plan, &[Planned, Done], 0), Fate::Runs(vec![2]));
        assert_eq!(game.fate(&plan, &[Copying, Done], 0), Fate::Runs(vec![2]));
        assert_eq!(game.fate(&plan, &[Done, Done], 0), Fate::Over(0));
    }

    #[test]
    fn it_runs_once_whoever_remembers() {
        use MovePhase::Done;
        // The status does, the directory does, or the process does.
        let left = |plan: &Plan, phases: &[MovePhase], memory: &Memory| {
            let run = Run::of(plan, &moves(phases), &loads(true), memory);
            run.parts[0].left()
        };
        let fresh = Memory::default();
        assert_eq!(left(&plan(5, 3), &[], &fresh), 2);
        assert_eq!(left(&plan(5, 0), &[Done, Done], &fresh), 3);
        let mut game = Game::new();
        game.fate(&plan(5, 0), &[], 4);
        assert_eq!(left(&plan(5, 0), &[], &game.memory), 1);
        // What another plan did is nothing to this one.
        let other = Plan {
            id: "7f3b".to_owned(),
            ..plan(5, 0)
        };
        assert_eq!(left(&other, &[Done], &game.memory), 5);
    }

    #[test]
    fn what_cannot_be_done_is_left_after_a_while() {
        use MovePhase::{Aborted, Done};
        let mut game = Game::new();
        let plan = plan(4, 0);
        let phases = [Done, Done, Aborted];
        assert_eq!(game.fate(&plan, &phases, 0), Fate::Runs(vec![3]));
        game.now += PATIENCE / 2;
        assert_eq!(game.fate(&plan, &phases, 0), Fate::Runs(vec![3]));
        game.now += PATIENCE / 2;
        // One came to nothing, and one was never asked for.
        assert_eq!(game.fate(&plan, &phases, 0), Fate::Over(2));
    }

    #[test]
    fn a_shard_that_is_away_is_waited_for() {
        let mut game = Game::new();
        let plan = plan(4, 0);
        for _ in 0..3 {
            let fate = game.at(&plan, &[], 0, false);
            assert_eq!(fate, Fate::Runs(vec![0]));
            game.now += PATIENCE;
        }
        assert_eq!(game.fate(&plan, &[], 0), Fate::Runs(vec![0]));
    }

    #[test]
    fn the_rest_is_as_large_as_the_shards_accounts_are_now() {
        let balance = Balance::of(&loads(true), &[]);
        let run = Run::of(&plan(4, 1), &[], &loads(true), &Memory::default());
        let rest = run.wanted(&balance, &loads(true));
        let [Wanted { flow, most, .. }] = rest.as_slice() else {
            panic!("{rest:?}");
        };
        assert_eq!((flow.accounts, flow.bytes, *most), (3, 600, 3));
    }
}
