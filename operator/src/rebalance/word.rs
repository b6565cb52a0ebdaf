//! What is told of a cluster's accounts, in a word: pure.

use crds::mail_cluster::RebalanceMode;
use plan::{Balance, Flow, Lack, Limits, Load, OpenMove, Standing, Stays, Why};
use wire::ids::ShardName;

/// What is told of a cluster's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The directory does not tell.
    Unknown,
    /// The cluster is paused.
    Paused,
    /// Nothing has to move.
    Balanced,
    /// It is not to be looked at.
    Disabled,
    /// Something would move, and is only shown.
    DryRun,
    /// Something has to move, and may do so only if that stays so for a while.
    Uneven,
    /// What should move has moved within the hour.
    RecentlyMoved(Lately),
    /// What should move finds no room.
    NoRoom(Short),
    /// What should move is in too large pieces.
    TooLarge,
    /// What should move would go from or to these shards, which do not serve.
    NotServing(Vec<ShardName>),
    /// Accounts move so that shards are even.
    Moving,
    /// Accounts move off shards that leave.
    Draining,
}

/// Accounts of shards that should give, which moved not long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lately {
    /// How many.
    pub accounts: u64,
    /// When the first of them may move again: milliseconds since 1970.
    pub until_ms: i64,
}

/// Where room is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Short {
    /// What should come to whom, and has room there.
    pub lacks: Vec<Lack>,
    /// Shards whose volumes have too much.
    pub full: Vec<ShardName>,
}

/// What came of that which was to be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many accounts stay, and why.
    pub stays: Stays,
    /// Those that have moved lately; none: none has.
    pub lately: Option<Lately>,
}

/// What a round has seen and done.
#[derive(Debug)]
pub struct Round<'a> {
    /// The cluster's mode.
    pub mode: RebalanceMode,
    /// How even is even enough.
    pub limits: Limits,
    /// Its shards.
    pub loads: &'a [Load],
    /// Moves that are open.
    pub open: &'a [OpenMove],
    /// What is to be done, beside those.
    pub flows: &'a [Flow],
    /// It has been so for long enough.
    pub is_due: bool,
    /// How many moves there are now that somebody's plan or mode has asked for.
    pub moving: usize,
    /// What was not asked for, and why.
    pub held: Held,
    /// The plan that was approved and runs: which of its shards do not serve; none: there is none.
    pub plan: Option<&'a [ShardName]>,
}

impl Word {
    /// Whether accounts move.
    pub fn moves(&self) -> bool {
        match self {
            Self::Moving | Self::Draining => true,
            Self::Unknown
            | Self::Paused
            | Self::Balanced
            | Self::Disabled
            | Self::DryRun
            | Self::Uneven
            | Self::RecentlyMoved(_)
            | Self::NoRoom(_)
            | Self::TooLarge
            | Self::NotServing(_) => false,
        }
    }

    /// Of a round of a cluster that is not paused.
    pub fn of(round: &Round<'_>) -> Self {
        match round.plan {
            _ if round.moving > 0 => round.moving(),
            Some([]) => Self::Moving,
            Some(away) => Self::NotServing(away.to_vec()),
            None if round.flows.iter().any(|flow| round.runs(flow)) => round.held(),
            None => round.idle(),
        }
    }
}

impl Round<'_> {
    fn moving(&self) -> Word {
        let leaves = |shard: &ShardName| {
            let load = self.loads.iter().find(|load| load.shard == *shard);
            load.is_some_and(|load| load.standing == Standing::Leaving)
        };
        let drains = self.open.iter().any(|open| leaves(&open.from))
            || self.flows.iter().any(|flow| flow.why == Why::Leaving);
        match drains {
            true => Word::Draining,
            false => Word::Moving,
        }
    }

    /// Whether a flow runs in this mode, without anybody's approval.
    fn runs(&self, flow: &Flow) -> bool {
        match (flow.why, self.mode) {
            (Why::Leaving, _) | (Why::Full | Why::Uneven, RebalanceMode::Auto) => true,
            (Why::Full | Why::Uneven, RebalanceMode::DryRun | RebalanceMode::Disabled) => false,
        }
    }

    /// Whether somebody wants to know of it.
    fn counts(&self, flow: &Flow) -> bool {
        match (flow.why, self.mode) {
            (Why::Leaving, _) => true,
            (Why::Full | Why::Uneven, RebalanceMode::Auto | RebalanceMode::DryRun) => true,
            (Why::Full | Why::Uneven, RebalanceMode::Disabled) => false,
        }
    }

    /// Something should move, and nothing does.
    fn held(&self) -> Word {
        let leaves = self.flows.iter().any(|flow| flow.why == Why::Leaving);
        if !leaves && !self.is_due {
            return Word::Uneven;
        }
        let Held { stays, lately } = self.held;
        match lately.filter(|_| stays.lately > 0) {
            Some(lately) => Word::RecentlyMoved(lately),
            None if stays.no_room > 0 => Word::NoRoom(self.short(&self.calm())),
            None if stays.no_better > 0 => Word::TooLarge,
            // Accounts that come or go, or that others move.
            None => Word::Uneven,
        }
    }

    /// Nothing is to move: since all is well, or since nothing can.
    fn idle(&self) -> Word {
        let is_shown = |flow: &Flow| self.counts(flow) && !self.runs(flow);
        if self.flows.iter().any(is_shown) {
            return Word::DryRun;
        }
        let calm = self.calm();
        let flows = calm.plan(&self.limits);
        let away = self.away(flows.iter().filter(|flow| self.runs(flow)));
        if !away.is_empty() {
            return Word::NotServing(away);
        }
        if flows.iter().any(is_shown) {
            return Word::DryRun;
        }
        let short = self.short(&calm);
        match self.mode {
            _ if short != Short::default() => Word::NoRoom(short),
            RebalanceMode::Disabled => Word::Disabled,
            RebalanceMode::DryRun | RebalanceMode::Auto => Word::Balanced,
        }
    }

    /// As if every shard served.
    fn calm(&self) -> Balance {
        let calm = |load: &Load| Load {
            serving: true,
            ..load.clone()
        };
        let loads: Vec<Load> = self.loads.iter().map(calm).collect();
        Balance::of(&loads, self.open)
    }

    fn away<'f>(&self, flows: impl Iterator<Item = &'f Flow>) -> Vec<ShardName> {
        let mut ends: Vec<&ShardName> = flows.flat_map(|flow| [&flow.from, &flow.to]).collect();
        ends.sort();
        ends.dedup();
        let is_away = |shard: &&ShardName| {
            let load = self.loads.iter().find(|load| load.shard == **shard);
            load.is_some_and(|load| !load.serving)
        };
        ends.into_iter().filter(is_away).cloned().collect()
    }

    fn short(&self, calm: &Balance) -> Short {
        let mut flows = calm.plan_without_volumes(&self.limits);
        flows.retain(|flow| self.counts(flow));
        Short {
            lacks: calm.lacks(&flows),
            full: match self.mode {
                RebalanceMode::Auto | RebalanceMode::DryRun => calm.too_full(),
                RebalanceMode::Disabled => Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use plan::Volume;

    use super::*;

    const MODES: [RebalanceMode; 3] = [
        RebalanceMode::Auto,
        RebalanceMode::DryRun,
        RebalanceMode::Disabled,
    ];

    fn name(text: &str) -> ShardName {
        text.parse().unwrap()
    }

    /// Shards, and what is to be done about them.
    struct Ground {
        loads: Vec<Load>,
        flows: Vec<Flow>,
    }

    const LIMITS: Limits = Limits {
        tolerance_percent: 10,
    };

    /// Shards with so many accounts of 100 octets each, and much room, but for what is changed.
    fn ground(accounts: &[u64], change: impl FnOnce(&mut Vec<Load>)) -> Ground {
        let load = |(place, accounts): (usize, &u64)| Load {
            shard: name(&format!("a-{place}")),
            standing: Standing::Active,
            serving: true,
            weight: 100,
            accounts: *accounts,
            bytes: accounts * 100,
            volume: Some(Volume {
                size: 1_000_000,
                free: 900_000,
                nearly_full: false,
            }),
        };
        let mut loads = accounts.iter().enumerate().map(load).collect();
        change(&mut loads);
        let flows = Balance::of(&loads, &[]).plan(&LIMITS);
        Ground { loads, flows }
    }

    impl Ground {
        /// What is said in all modes, by what was asked for.
        fn said<'a>(&'a self, change: impl Fn(&mut Round<'a>)) -> [Word; 3] {
            MODES.map(|mode| {
                let mut round = Round {
                    mode,
                    limits: LIMITS,
                    loads: &self.loads,
                    open: &[],
                    flows: &self.flows,
                    is_due: true,
                    moving: 0,
                    held: Held::default(),
                    plan: None,
                };
                change(&mut round);
                Word::of(&round)
            })
        }
    }

    fn stays(lately: u64, no_room: u64, no_better: u64) -> Held {
        Held {
            stays: Stays {
                lately,
                no_room,
                no_better,
            },
            lately: Some(LATELY),
        }
    }

    const LATELY: Lately = Lately {
        accounts: 12,
        until_ms: 7,
    };

    #[test]
    fn where_all_is_even_the_mode_is_said() {
        use Word::{Balanced, Disabled};
        let found = ground(&[10, 10, 10], |_| {}).said(|_| {});
        assert_eq!(found, [Balanced, Balanced, Disabled]);
        // As even as whole accounts can be.
        let found = ground(&[1, 0, 0], |_| {}).said(|_| {});
        assert_eq!(found, [Balanced, Balanced, Disabled]);
    }

    #[test]
    fn only_what_moves_is_said_to_move() {
        use Word::{Disabled, DryRun, Moving, TooLarge, Uneven};
        let ground = ground(&[20, 10, 0], |_| {});
        let auto = |change: fn(&mut Round<'_>)| ground.said(change);
        assert_eq!(auto(|round| round.moving = 1), [Moving, Moving, Moving]);
        assert_eq!(
            auto(|round| round.is_due = false),
            [Uneven, DryRun, Disabled]
        );
        assert_eq!(auto(|_| {}), [Uneven, DryRun, Disabled]);
        let lately = Word::RecentlyMoved(LATELY);
        let expected = [lately, DryRun, Disabled];
        assert_eq!(auto(|round| round.held = stays(3, 5, 9)), expected);
        let expected = [TooLarge, DryRun, Disabled];
        assert_eq!(auto(|round| round.held = stays(0, 0, 9)), expected);
        let [word, ..] = auto(|round| round.held = stays(0, 1, 9));
        let Word::NoRoom(short) = word else {
            panic!("{word:?}");
        };
        assert_eq!(short.lacks[0].shard, name("a-2"));
    }

    #[test]
    fn an_approved_plan_moves_until_it_is_over_or_waits_for_a_shard() {
        let away = [name("a-2")];
        let ground = ground(&[20, 10, 0], |_| {});
        let runs = ground.said(|round| round.plan = Some(&[]));
        assert_eq!(runs, [const { Word::Moving }; 3]);
        for word in ground.said(|round| round.plan = Some(&away)) {
            assert_eq!(word, Word::NotServing(away.to_vec()));
        }
    }

    #[test]
    fn shards_that_are_emptied_are_so_until_the_last_move() {
        let open = [OpenMove {
            from: name("a-2"),
            to: name("a-0"),
            bytes: None,
        }];
        let ground = ground(&[10, 10, 10], |loads| {
            loads[2].standing = Standing::Leaving;
        });
        let moving = ground.said(|round| round.moving = 1);
        assert_eq!(moving, [const { Word::Draining }; 3]);
        let last = ground.said(|round| {
            (round.moving, round.open, round.flows) = (1, &open, &[]);
        });
        assert_eq!(last, [const { Word::Draining }; 3]);
        for word in ground.said(|round| round.held = stays(0, 4, 0)) {
            let Word::NoRoom(short) = word else {
                panic!("{word:?}");
            };
            assert_eq!(short.lacks.len(), 2);
        }
    }

    #[test]
    fn where_no_volume_has_room_nobody_is_called_even() {
        let tight = ground(&[20, 10, 0], |loads| {
            loads[2].volume.as_mut().unwrap().free = 150_000;
        });
        let [auto, dry_run, disabled] = tight.said(|_| {});
        let Word::NoRoom(short) = &auto else {
            panic!("{auto:?}");
        };
        let lack = &short.lacks[0];
        assert_eq!((&lack.shard, lack.room), (&name("a-2"), 0));
        assert!(lack.wanted > 0 && short.full.is_empty(), "{short:?}");
        assert_eq!((dry_run, disabled), (auto, Word::Disabled));
        // One alone has nowhere to give it to.
        let full = ground(&[9000], |loads| {
            loads[0].volume.as_mut().unwrap().free = 1;
        });
        let [auto, ..] = full.said(|_| {});
        let full = vec![name("a-0")];
        let lacks = Vec::new();
        assert_eq!(auto, Word::NoRoom(Short { lacks, full }));
    }

    #[test]
    fn whoever_is_away_is_named() {
        let away = Word::NotServing(vec![name("a-2")]);
        let uneven = ground(&[20, 10, 0], |loads| loads[2].serving = false);
        // Of the others one has too much, and the other one may take it.
        assert_eq!(uneven.said(|round| round.flows = &[])[0], away);
        let leaves = ground(&[10, 10, 10], |loads| {
            loads[2].serving = false;
            loads[2].standing = Standing::Leaving;
        });
        assert_eq!(leaves.flows, []);
        assert_eq!(leaves.said(|_| {}), [0; 3].map(|_| away.clone()));
        // What is even without it needs nobody.
        let even = ground(&[10, 10, 10], |loads| loads[2].serving = false);
        assert_eq!(even.said(|_| {})[0], Word::Balanced);
    }
}
