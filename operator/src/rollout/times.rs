//! Since when nothing has changed: all that is remembered of a rollout. It only ever delays a turn or
//! tells that nothing comes on; an operator that has just started knows of no time that has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Instance, Standing, Template};

/// Since when a cluster's rollout is as it is.
#[derive(Debug)]
pub struct Times {
    /// Those that are not up, or on trial.
    unsettled: BTreeSet<String>,
    /// Since when they are these.
    calm: Instant,
    position: Position,
    /// The most that each has recovered at this position.
    recovered: BTreeMap<String, u32>,
    /// Since when it has not come on.
    still: Instant,
    /// It was stuck before the operator started, and has not come on since.
    was_stuck: bool,
}

/// How far a rollout has come.
#[derive(Debug, PartialEq, Eq)]
struct Position {
    outdated: BTreeSet<String>,
    on_trial: BTreeSet<String>,
}

/// How long nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Nobody has gone down or come up.
    pub calm: Duration,
    /// A rollout is under way.
    pub is_under_way: bool,
    /// It has not come on.
    pub still: Duration,
    /// It had not for too long when the operator started.
    pub was_stuck: bool,
}

impl Times {
    /// `was_stuck`: what was told before the operator started.
    pub fn begin(instances: &[Instance], was_stuck: bool, now: Instant) -> Self {
        Self {
            unsettled: unsettled(instances),
            calm: now,
            position: Position::of(instances),
            recovered: recovered(instances),
            still: now,
            was_stuck,
        }
    }

    /// Takes a further look into account. Only what brings the rollout on counts as coming on: one
    /// more has its template, one on trial has come up, or a percentage is higher than it ever was
    /// there. A pod that comes and goes does not.
    pub fn note(&mut self, instances: &[Instance], now: Instant) -> Idle {
        let unsettled = unsettled(instances);
        if unsettled != self.unsettled {
            self.unsettled = unsettled;
            self.calm = now;
        }
        let position = Position::of(instances);
        let found = recovered(instances);
        let comes_on = |(name, percent): (&String, &u32)| {
            let best = self.recovered.get(name);
            best.is_none_or(|best| percent > best)
        };
        let has_moved = position != self.position;
        if has_moved || found.iter().any(comes_on) {
            self.still = now;
            self.was_stuck = false;
        }
        if has_moved {
            self.position = position;
            self.recovered.clear();
        }
        for (name, percent) in found {
            let best = self.recovered.entry(name).or_default();
            *best = percent.max(*best);
        }
        Idle {
            calm: now.saturating_duration_since(self.calm),
            is_under_way: instances.iter().any(Instance::is_under_way),
            still: now.saturating_duration_since(self.still),
            was_stuck: self.was_stuck,
        }
    }
}

impl Idle {
    /// Whether nothing has come on for too long.
    pub fn is_stuck(&self, deadline: Duration) -> bool {
        self.is_under_way && (self.was_stuck || self.still >= deadline)
    }
}

impl Position {
    fn of(instances: &[Instance]) -> Self {
        let with = |template: Template| {
            let found = instances
                .iter()
                .filter(|it| it.is_under_way() && it.template == template);
            found.map(|it| it.name.clone()).collect()
        };
        Self {
            outdated: with(Template::Outdated),
            on_trial: with(Template::Trial),
        }
    }
}

fn unsettled(instances: &[Instance]) -> BTreeSet<String> {
    let found = instances.iter().filter(|it| !it.is_settled());
    found.map(|it| it.name.clone()).collect()
}

fn recovered(instances: &[Instance]) -> BTreeMap<String, u32> {
    let found = instances.iter().filter_map(|it| match it.standing {
        Standing::Recovering(percent) => Some((it.name.clone(), percent)),
        Standing::Up | Standing::Unsure | Standing::Down => None,
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tier;
    use crate::rollout::Part;

    const DEADLINE: Duration = Duration::from_secs(600);

    fn shard(name: &str, template: Template, standing: Standing) -> Instance {
        Instance {
            name: name.to_owned(),
            tier: Tier::Storage,
            part: Part::Stays,
            template,
            standing,
            is_taken: false,
        }
    }

    fn two(template: Template, standing: Standing) -> [Instance; 2] {
        let other = shard("b", Template::Outdated, Standing::Up);
        [shard("a", template, standing), other]
    }

    #[test]
    fn a_pod_that_comes_and_goes_brings_nothing_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut times = Times::begin(&two(Template::Trial, Standing::Down), false, start);
        for minute in 1..=10 {
            let standing = match minute % 2 {
                0 => Standing::Down,
                _ => Standing::Up,
            };
            let idle = times.note(&two(Template::Trial, standing), at(minute * 60));
            assert_eq!(idle.is_stuck(DEADLINE), minute == 10, "minute {minute}");
        }
        // Its template is mended.
        let idle = times.note(&two(Template::Outdated, Standing::Down), at(700));
        assert!(!idle.is_stuck(DEADLINE));
    }

    #[test]
    fn a_percentage_comes_on_only_beyond_what_it_was() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let recovering = |percent| two(Template::Trial, Standing::Recovering(percent));
        let mut times = Times::begin(&recovering(0), false, start);
        assert!(!times.note(&recovering(40), at(599)).is_stuck(DEADLINE));
        // It began anew, twice.
        assert!(!times.note(&recovering(3), at(700)).is_stuck(DEADLINE));
        assert!(times.note(&recovering(40), at(1199)).is_stuck(DEADLINE));
        assert!(!times.note(&recovering(41), at(1200)).is_stuck(DEADLINE));
    }

    #[test]
    fn calm_is_counted_from_the_last_that_went_or_came() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let up = two(Template::Outdated, Standing::Up);
        let down = two(Template::Outdated, Standing::Down);
        let mut times = Times::begin(&up, false, start);
        let calm = |idle: Idle| idle.calm.as_secs();
        assert_eq!(calm(times.note(&up, at(9))), 9);
        assert_eq!(calm(times.note(&down, at(10))), 0);
        assert_eq!(calm(times.note(&up, at(15))), 0);
        assert_eq!(calm(times.note(&up, at(18))), 3);
    }

    #[test]
    fn what_was_stuck_before_a_restart_is_so_until_it_comes_on() {
        let start = Instant::now();
        let broken = two(Template::Trial, Standing::Down);
        let mut times = Times::begin(&broken, true, start);
        assert!(times.note(&broken, start).is_stuck(DEADLINE));
        let mended = two(Template::Outdated, Standing::Down);
        assert!(!times.note(&mended, start).is_stuck(DEADLINE));
        // One that is over is not stuck.
        let done = [shard("a", Template::Current, Standing::Down)];
        let mut times = Times::begin(&done, true, start);
        assert!(!times.note(&done, start).is_stuck(DEADLINE));
    }
}
