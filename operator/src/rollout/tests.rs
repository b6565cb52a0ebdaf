//! The tables read back, and a rollout over all tiers with whatever goes wrong.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;

const DEADLINE: Duration = Duration::from_secs(600);

fn instance(
    name: &str,
    tier: Tier,
    part: Part,
    template: Template,
    standing: Standing,
) -> Instance {
    Instance {
        name: name.to_owned(),
        tier,
        part,
        template,
        standing,
        is_taken: false,
    }
}

fn shard(name: &str, part: Part, template: Template, standing: Standing) -> Instance {
    instance(name, Tier::Storage, part, template, standing)
}

fn seen(instances: &[Instance]) -> Seen<'_> {
    Seen {
        instances,
        directory_tells: true,
        store_is_sound: true,
        calm: CALM,
        is_stuck: false,
    }
}

/// What is done beside another shard that is outdated and up: whose turn it is, or who is waited
/// for.
fn beside(one: Instance) -> String {
    let other = shard("z", Part::Stays, Template::Outdated, Standing::Up);
    said(turns(&seen(&[one, other])))
}

fn said(Turns { now, waits }: Turns) -> String {
    let now: Vec<_> = now.into_iter().collect();
    match waits {
        None => now.join(" "),
        Some(wait) => format!("{}{wait:?}", now.join(" ")),
    }
}

#[test]
fn the_table() {
    use Part::{Gone, Leaves, Ordered, Stays, Stopped};
    use Standing::{Down, Recovering, Unsure, Up};
    use Template::{Current, Outdated, Trial};
    let standings = [Up, Unsure, Recovering(7), Down];
    let (trial, up) = ("Trial(\"a\")", "Up(\"a\")");
    for (part, template, expected) in [
        (Stays, Current, ["z", up, up, up]),
        (Stays, Trial, [trial; 4]),
        (Stays, Outdated, ["a", "a", up, "a"]),
        (Leaves, Current, ["z"; 4]),
        (Leaves, Trial, ["z"; 4]),
        (Leaves, Outdated, ["z"; 4]),
        (Stopped, Current, ["z"; 4]),
        (Stopped, Trial, ["z"; 4]),
        (Stopped, Outdated, ["z"; 4]),
        (Ordered, Current, ["z"; 4]),
        (Ordered, Trial, ["z"; 4]),
        (Ordered, Outdated, ["a z"; 4]),
        (Gone, Current, ["z"; 4]),
        (Gone, Trial, ["z"; 4]),
        (Gone, Outdated, ["z"; 4]),
    ] {
        let found = standings.map(|standing| beside(shard("a", part, template, standing)));
        assert_eq!(found, expected, "{part:?} {template:?}");
    }
}

#[test]
fn whoever_was_taken_down_keeps_all_others_up() {
    use Part::{Gone, Leaves, Ordered, Stays, Stopped};
    for (part, expected) in [
        (Stays, "Up(\"a\")"),
        (Leaves, "Up(\"a\")"),
        (Stopped, "z"),
        (Ordered, "z"),
        (Gone, "z"),
    ] {
        let taken = Instance {
            is_taken: true,
            ..shard("a", part, Template::Current, Standing::Down)
        };
        assert_eq!(beside(taken), expected, "{part:?}");
    }
}

#[test]
fn what_is_not_well_goes_before_what_is_and_what_leaves_comes_last() {
    let up = shard("a", Part::Stays, Template::Outdated, Standing::Up);
    let unsure = shard("b", Part::Stays, Template::Outdated, Standing::Unsure);
    let down = shard("c", Part::Stays, Template::Outdated, Standing::Down);
    let leaving = shard("d", Part::Leaves, Template::Outdated, Standing::Down);
    let of = |instances: &[&Instance]| {
        let instances: Vec<_> = instances.iter().copied().cloned().collect();
        said(turns(&seen(&instances)))
    };
    assert_eq!(of(&[&up, &unsure]), "b");
    assert_eq!(of(&[&up, &unsure, &down]), "c");
    assert_eq!(of(&[&leaving, &up]), "a");
    assert_eq!(of(&[&leaving]), "d");
}

#[test]
fn what_was_taken_down_comes_before_what_is_down() {
    let down = shard("a", Part::Stays, Template::Outdated, Standing::Down);
    for part in [Part::Stays, Part::Leaves] {
        let with = |template| {
            let taken = Instance {
                is_taken: true,
                ..shard("b", part, template, Standing::Down)
            };
            said(turns(&seen(&[down.clone(), taken])))
        };
        assert_eq!(with(Template::Outdated), "b", "{part:?}");
        // It may be up again.
        assert_eq!(with(Template::Current), "Up(\"b\")", "{part:?}");
    }
}

#[test]
fn all_are_up_for_a_while_before_another_restarts() {
    let two = ["a", "b"].map(|name| shard(name, Part::Stays, Template::Outdated, Standing::Up));
    let after = |calm| said(turns(&Seen { calm, ..seen(&two) }));
    assert_eq!(after(CALM - Duration::from_millis(1)), "Calm");
    assert_eq!(after(CALM), "a");
    // What is down waits for nobody.
    let down = [shard("a", Part::Stays, Template::Outdated, Standing::Down)];
    let calm = Duration::ZERO;
    assert_eq!(
        said(turns(&Seen {
            calm,
            ..seen(&down)
        })),
        "a"
    );
}

#[test]
fn a_recovery_that_does_not_come_on_is_no_recovery() {
    let instances = ["a", "b"].map(|name| {
        shard(
            name,
            Part::Stays,
            Template::Outdated,
            Standing::Recovering(7),
        )
    });
    assert_eq!(said(turns(&seen(&instances))), "Up(\"a\")");
    let stuck = Seen {
        is_stuck: true,
        ..seen(&instances)
    };
    assert_eq!(said(turns(&stuck)), "a");
}

#[test]
fn shards_wait_for_a_directory_that_tells() {
    let mx = instance("m", Tier::Mx, Part::Stays, Template::Outdated, Standing::Up);
    for (template, expected) in [
        (Template::Current, "m"),
        (Template::Trial, "Directory"),
        (Template::Outdated, "Directory"),
    ] {
        let shard = shard("a", Part::Stays, template, Standing::Down);
        let instances = [shard, mx.clone()];
        let silent = Seen {
            directory_tells: false,
            ..seen(&instances)
        };
        assert_eq!(said(turns(&silent)), expected, "{template:?}");
    }
    // What somebody ordered waits for nobody.
    let ordered = shard("a", Part::Ordered, Template::Outdated, Standing::Down);
    let other = shard("b", Part::Stays, Template::Outdated, Standing::Up);
    let instances = [ordered, other];
    let silent = Seen {
        directory_tells: false,
        ..seen(&instances)
    };
    assert_eq!(said(turns(&silent)), "aDirectory");
}

fn members(standings: [Standing; 3], templates: [Template; 3]) -> [Instance; 3] {
    let [a, b, c] = standings;
    let [at, bt, ct] = templates;
    [("a", at, a), ("b", bt, b), ("c", ct, c)].map(|(name, template, standing)| {
        instance(name, Tier::Etcd, Part::Stays, template, standing)
    })
}

#[test]
fn members_that_are_up_wait_for_a_sound_store() {
    let all_up = members([Standing::Up; 3], [Template::Outdated; 3]);
    let unsound = Seen {
        store_is_sound: false,
        ..seen(&all_up)
    };
    assert_eq!(said(turns(&unsound)), "Store");
    assert_eq!(said(turns(&seen(&all_up))), "a");
}

#[test]
fn without_a_quorum_no_member_waits_for_another_that_cannot_come_up() {
    use Standing::{Down, Up};
    use Template::{Outdated, Trial};
    let of = |standings, templates| said(turns(&seen(&members(standings, templates))));
    assert_eq!(of([Down, Down, Up], [Trial, Outdated, Outdated]), "b");
    assert_eq!(of([Down, Down, Down], [Trial, Trial, Outdated]), "c");
    assert_eq!(
        of([Down, Up, Up], [Trial, Outdated, Outdated]),
        "Trial(\"a\")"
    );
}

#[test]
fn a_tier_begins_when_the_one_before_is_through() {
    let mut all: Vec<_> = Tier::ALL
        .iter()
        .map(|tier| {
            let name = tier.as_str();
            instance(name, *tier, Part::Stays, Template::Outdated, Standing::Up)
        })
        .collect();
    for place in 0..all.len() {
        let name = Tier::ALL[place].as_str();
        assert_eq!(said(turns(&seen(&all))), name);
        all[place].template = Template::Trial;
        assert_eq!(said(turns(&seen(&all))), format!("Trial({name:?})"));
        all[place].template = Template::Current;
    }
    assert_eq!(turns(&seen(&all)), Turns::default());
}

#[test]
fn what_was_written_is_read_back() {
    let restarted = Restarted {
        revision: "example-0-5d8fb".to_owned(),
        incarnation: 7,
    };
    assert_eq!(restarted.to_string().parse(), Ok(restarted));
    for bad in ["", "7", "a/", "a/b", "a/-1"] {
        assert_eq!(bad.parse::<Restarted>(), Err(shard::BadRestarted));
    }
}

#[test]
fn a_shard_is_taken_down_until_it_serves_anew() {
    let restarted = Restarted {
        revision: "r1".to_owned(),
        incarnation: 7,
    };
    let serving = |incarnation| wire::rpc::ShardInfo {
        incarnation,
        serving: true,
        ..wire::rpc::ShardInfo::default()
    };
    // Kubernetes has not seen it; it has; the old process' lease; nobody knows it.
    assert!(restarted.is_taken(None, Some(&serving(7))));
    assert!(restarted.is_taken(Some("r2"), Some(&serving(7))));
    assert!(restarted.is_taken(Some("r2"), None));
    assert!(!restarted.is_taken(Some("r2"), Some(&serving(8))));
    // Nothing differed.
    assert!(!restarted.is_taken(Some("r1"), Some(&serving(7))));
}

#[test]
fn a_mended_spec_does_not_forget_who_was_taken_down() {
    let info = |incarnation| wire::rpc::ShardInfo {
        incarnation,
        ..wire::rpc::ShardInfo::default()
    };
    let first = Restarted::now(None, "r1".to_owned(), Some(&info(7)));
    assert_eq!(first.to_string(), "r1/7");
    let again = Restarted::now(Some(&first), "r2".to_owned(), Some(&info(6)));
    assert_eq!(again.to_string(), "r2/7");
    // Back to the first revision: it is still away.
    assert!(again.is_taken(Some("r1"), None));
    let never = Restarted::now(None, "r1".to_owned(), None);
    assert!(never.is_taken(Some("r2"), Some(&info(0))));
}

/// Splitmix64: a seed that fails can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

/// A StatefulSet that is played.
struct Played {
    name: String,
    tier: Tier,
    /// The number of its template.
    template: u32,
    /// It has come up with it.
    is_proven: bool,
    is_up: bool,
    is_taken: bool,
}

/// A cluster that is played.
struct World {
    sets: Vec<Played>,
    /// The number of each tier's wanted template.
    wanted: [u32; 5],
    /// With these nothing comes up.
    bad: BTreeSet<u32>,
    newest: u32,
    now: Instant,
    times: Times,
}

impl World {
    fn new() -> Self {
        let counts = [3, 1, 4, 1, 3];
        let names = Tier::ALL.iter().zip(counts).flat_map(|(tier, count)| {
            (0..count).map(move |ordinal| (*tier, format!("{tier}-{ordinal}")))
        });
        let sets = names.map(|(tier, name)| Played {
            name,
            tier,
            template: 0,
            is_proven: true,
            is_up: true,
            is_taken: false,
        });
        let now = Instant::now();
        Self {
            sets: sets.collect(),
            wanted: [0; 5],
            bad: BTreeSet::new(),
            newest: 0,
            now,
            times: Times::begin(&[], false, now),
        }
    }

    fn wanted(&self, tier: Tier) -> u32 {
        let place = Tier::ALL.iter().position(|it| *it == tier).unwrap();
        self.wanted[place]
    }

    /// The templates of some tiers change.
    fn change(&mut self, tiers: &[usize], is_bad: bool) {
        self.newest += 1;
        if is_bad {
            self.bad.insert(self.newest);
        }
        for tier in tiers {
            self.wanted[*tier] = self.newest;
        }
    }

    fn comes_up(&mut self, place: usize) {
        let set = &mut self.sets[place];
        if !self.bad.contains(&set.template) {
            (set.is_up, set.is_proven, set.is_taken) = (true, true, false);
        }
    }

    fn instances(&self) -> Vec<Instance> {
        let instance = |set: &Played| Instance {
            name: set.name.clone(),
            tier: set.tier,
            part: Part::Stays,
            template: match (set.template == self.wanted(set.tier), set.is_proven) {
                (false, _) => Template::Outdated,
                (true, true) => Template::Current,
                (true, false) => Template::Trial,
            },
            standing: match set.is_up {
                true => Standing::Up,
                false => Standing::Down,
            },
            is_taken: set.is_taken,
        };
        self.sets.iter().map(instance).collect()
    }

    fn look(&mut self) -> Result<Idle, String> {
        let instances = self.instances();
        let idle = self.times.note(&instances, self.now);
        let turns = turns(&Seen {
            calm: idle.calm,
            is_stuck: idle.is_stuck(DEADLINE),
            ..seen(&instances)
        });
        for name in turns.now {
            self.restart(&name)?;
        }
        Ok(idle)
    }

    fn restart(&mut self, name: &str) -> Result<(), String> {
        let place = self.sets.iter().position(|set| set.name == name).unwrap();
        let (tier, was_up) = (self.sets[place].tier, self.sets[place].is_up);
        let away = self.sets.iter().find(|it| it.tier == tier && it.is_taken);
        if let Some(away) = away.filter(|_| was_up) {
            return Err(format!("{name} goes down while {} is", away.name));
        }
        let is_early =
            |it: &&Played| it.tier < tier && (it.template != self.wanted(it.tier) || !it.is_proven);
        if let Some(early) = self.sets.iter().find(is_early) {
            return Err(format!("{name} is before {}", early.name));
        }
        let template = self.wanted(tier);
        let set = &mut self.sets[place];
        set.is_taken |= set.is_up;
        (set.template, set.is_up, set.is_proven) = (template, false, false);
        Ok(())
    }

    /// Everything comes up that can, and the operator looks, until nothing changes any more.
    fn ends(&mut self) -> Result<Idle, String> {
        let mut idle = self.look()?;
        for _ in 0..2000 {
            for place in 0..self.sets.len() {
                self.comes_up(place);
            }
            self.now += Duration::from_secs(5);
            idle = self.look()?;
            if !idle.is_under_way || idle.is_stuck(DEADLINE) {
                break;
            }
        }
        Ok(idle)
    }
}

fn run(seed: u64) -> Result<(), String> {
    let (mut dice, mut world) = (Dice(seed), World::new());
    for _ in 0..dice.below(200) {
        let place = dice.below(world.sets.len());
        match dice.below(10) {
            0 => {
                let tiers: Vec<_> = (0..5).filter(|_| dice.below(2) == 0).collect();
                let is_bad = dice.below(3) == 0;
                world.change(&tiers, is_bad);
            }
            1 => world.sets[place].is_up = false,
            2..=4 => world.comes_up(place),
            _ => drop(world.look()?),
        }
        world.now += Duration::from_secs(u64::try_from(dice.below(8)).unwrap());
    }
    world.change(&[0, 1, 2, 3, 4], false);
    let idle = world.ends()?;
    let old = world.sets.iter().find(|set| set.template != world.newest);
    match old {
        Some(old) => Err(format!("{} stays as it was, {idle:?}", old.name)),
        None => Ok(()),
    }
}

#[test]
fn whatever_fails_one_goes_after_the_other_and_it_ends() {
    for seed in 0..3000 {
        if let Err(why) = run(seed) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn it_stops_at_the_first_that_is_broken_and_a_mended_spec_goes_on() {
    let mut world = World::new();
    world.change(&[2, 3, 4], true);
    let idle = world.ends().unwrap();
    assert!(idle.is_stuck(DEADLINE));
    let reached = |world: &World| -> Vec<_> {
        let reached = world.sets.iter().filter(|set| set.template == world.newest);
        reached.map(|set| set.name.clone()).collect()
    };
    assert_eq!(reached(&world), ["storage-0"]);
    // Hours later it is still so.
    world.now += Duration::from_secs(10_000);
    assert!(world.ends().unwrap().is_stuck(DEADLINE));
    assert_eq!(reached(&world), ["storage-0"]);
    world.change(&[2, 3, 4], false);
    assert!(!world.ends().unwrap().is_under_way);
    assert_eq!(reached(&world).len(), 8);
}
