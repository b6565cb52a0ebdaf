//! The operator's decisions about templates, at work.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use operator::names::Tier;
use operator::rollout::{
    Instance, Part, Restarted, Seen, Standing, Template, Times, standing, turns,
};
use operator::shard::decide::Wish;
use wire::rpc::{ShardInfo, ShardState};

use super::Dice;
use super::directory::Directory;
use super::operator::Broken;

/// Between two looks.
const STEP: Duration = Duration::from_secs(3);

const DEADLINE: Duration = Duration::from_secs(600);

/// What is written on StatefulSets and what was seen of pods.
pub(crate) struct Rollout {
    broken: Option<Broken>,
    /// The number of the template that is wanted.
    wanted: u32,
    /// The annotations of StatefulSets.
    restarted: BTreeMap<u32, Restarted>,
    /// The template of each pod and whether it is ready, as they were seen last.
    pods: BTreeMap<u32, (u32, bool)>,
    /// The template that each has come up with, or begun with.
    proven: BTreeMap<u32, u32>,
    now: Instant,
    /// What an operator forgets when it restarts.
    times: Option<Times>,
}

impl Rollout {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        Self {
            broken,
            wanted: 0,
            restarted: BTreeMap::new(),
            pods: BTreeMap::new(),
            proven: BTreeMap::new(),
            now: Instant::now(),
            times: None,
        }
    }

    pub(crate) fn wanted(&self) -> u32 {
        self.wanted
    }

    /// The template changes.
    pub(crate) fn change(&mut self, directory: &mut Directory, is_bad: bool) {
        self.wanted += 1;
        if is_bad {
            directory.bad.insert(self.wanted);
        }
    }

    /// As the look at a cluster does.
    pub(crate) fn look(
        &mut self,
        directory: &mut Directory,
        view: &[ShardInfo],
        wishes: &[(u32, Wish)],
        dice: &mut Dice,
    ) -> Result<(), String> {
        self.now += STEP;
        if dice.below(40) == 0 {
            self.times = None;
        }
        if dice.below(2) == 0 {
            let pods = directory.shards.iter();
            self.pods = pods
                .map(|(ordinal, shard)| (*ordinal, (shard.template, shard.ready)))
                .collect();
        }
        for (of, (template, is_ready)) in &self.pods {
            let proven = self.proven.entry(*of).or_insert(*template);
            if *is_ready {
                *proven = *template;
            }
        }
        if self.turns(directory, view, wishes).is_empty() {
            return Ok(());
        }
        // Whose turn it seems to be is decided once more by what the directory says now.
        let view = directory.infos();
        for of in self.turns(directory, &view, wishes) {
            let revision = revision(directory.shards[&of].template);
            let before = self.restarted.remove(&of);
            if self.broken != Some(Broken::Restarted) {
                let noted = Restarted::now(before.as_ref(), revision, info(&view, of));
                self.restarted.insert(of, noted);
            }
            directory.restart(of, self.wanted)?;
        }
        Ok(())
    }

    fn turns(
        &mut self,
        directory: &Directory,
        view: &[ShardInfo],
        wishes: &[(u32, Wish)],
    ) -> Vec<u32> {
        let there = wishes.iter().filter_map(|(of, wish)| {
            let template = directory.shards.get(of)?.template;
            Some((*of, self.instance(*of, *wish, template, info(view, *of))))
        });
        let (ordinals, instances): (Vec<u32>, Vec<Instance>) = there.unzip();
        self.chosen(&ordinals, &instances)
    }

    fn chosen(&mut self, ordinals: &[u32], instances: &[Instance]) -> Vec<u32> {
        let now = self.now;
        let times = self.times.take();
        let mut times = times.unwrap_or_else(|| Times::begin(instances, false, now));
        let idle = times.note(instances, now);
        self.times = Some(times);
        let of = |instances: &[Instance]| {
            turns(&Seen {
                instances,
                directory_tells: true,
                store_is_sound: true,
                calm: idle.calm,
                is_stuck: idle.is_stuck(DEADLINE),
            })
        };
        let has_turn = |it: &Instance| match self.broken {
            Some(Broken::Turn) => of(std::slice::from_ref(it)).now.contains(&it.name),
            Some(Broken::Mended) if it.standing == Standing::Down => false,
            _ => of(instances).now.contains(&it.name),
        };
        let chosen = ordinals.iter().zip(instances);
        let chosen = chosen.filter(|(_, it)| has_turn(it));
        chosen.map(|(ordinal, _)| *ordinal).collect()
    }

    fn instance(&self, of: u32, wish: Wish, template: u32, info: Option<&ShardInfo>) -> Instance {
        let restarted = self.restarted.get(&of);
        let is_taken = restarted.is_some_and(|it| it.is_taken(Some(&revision(template)), info));
        let (running, is_ready) = self.pods.get(&of).copied().unwrap_or_default();
        let is_ready = is_ready && running == template;
        let part = part(wish, info);
        Instance {
            name: format!("example-{of}"),
            tier: Tier::Storage,
            part,
            template: match template == self.wanted {
                false => Template::Outdated,
                true if is_taken || self.proven.get(&of) != Some(&template) => Template::Trial,
                true => Template::Current,
            },
            standing: standing(info, is_ready, is_taken),
            is_taken: is_taken && (self.broken != Some(Broken::Taken) || part != Part::Leaves),
        }
    }
}

fn part(wish: Wish, info: Option<&ShardInfo>) -> Part {
    let state = info.map(ShardInfo::state);
    match (state, wish) {
        (Some(ShardState::Retired | ShardState::Lost), _) => Part::Gone,
        (_, Wish::Leaving) => Part::Leaves,
        (_, Wish::Stopped) => Part::Stopped,
        (_, Wish::Active | Wish::Cordoned | Wish::Drained) => Part::Stays,
    }
}

fn info(view: &[ShardInfo], of: u32) -> Option<&ShardInfo> {
    let name = format!("example-{of}");
    view.iter().find(|info| info.name == name)
}

fn revision(template: u32) -> String {
    format!("r{template}")
}
