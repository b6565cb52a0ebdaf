//! Which shards answer, by what attempts met and by the directory's word. Pure.
//!
//! | what happens | what follows |
//! |---|---|
//! | an attempt got no answer | the shard is away: one attempt at a time, a *probe*, with pauses that double |
//! | it refused, and was there until now | for some seconds its mail waits in memory, then in the spool |
//! | an attempt was answered | it is here again |
//! | the directory: incarnation n serves, and that is news | it is here again; what was tried before says nothing of it |
//!
//! So a shard that was killed and started again is back as soon as the directory tells, and a probe
//! is the second way: for when the directory does not, or when only we could not reach the shard.

use std::collections::BTreeMap;

use wire::ids::{Incarnation, ShardName};

use crate::spool::schedule::Schedule;

/// The first probe: a network that hiccuped, a process that is back before the directory tells.
const FIRST_MS: i64 = 100;

/// A probe a minute costs nothing, and mail for a shard that is back waits no longer than this.
const LONGEST_MS: i64 = 60_000;

/// What is known of every shard. Names are never used again, and few.
#[derive(Debug, Default)]
pub struct Away(BTreeMap<ShardName, Known>);

#[derive(Debug, Default)]
struct Known {
    word: Option<Word>,
    /// How often the directory had news of it serving.
    returns: u32,
    absence: Option<Absence>,
}

#[derive(Debug, Clone, Copy)]
struct Absence {
    /// Attempts in a row that got no answer; those that ran at the same time are one.
    failures: u32,
    /// When to probe, milliseconds since 1970.
    until_ms: i64,
    /// From the last failure until then.
    pause_ms: i64,
    /// When the first of them failed, milliseconds since 1970, and how.
    since_ms: i64,
    how: NoAnswer,
    /// Somebody wants a probe that has not begun yet.
    hurried: bool,
}

/// The directory's word on a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its newest incarnation.
    pub incarnation: Incarnation,
    /// That incarnation takes mail.
    pub serving: bool,
    /// Where it is called, `host:port`.
    pub endpoint: String,
}

/// How a shard did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection was refused, or broke: its process is gone, and may be back in a moment.
    Refused,
    /// It said nothing for as long as it was waited for, or nobody says where it is.
    Late,
}

/// What was known of a shard when an attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    returns: u32,
    failures: u32,
}

impl Round {
    /// Whether the shard was away when it began.
    pub fn was_away(self) -> bool {
        self.failures > 0
    }
}

/// May mail go to a shard now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// As far as is known it is there.
    Here(Round),
    /// It is away, and this attempt is the probe.
    Probe(Round),
    /// It has just gone: wait until something is heard of it, or until then, milliseconds since
    /// 1970.
    Soon(i64),
    /// It is away for longer.
    Shut(Round),
}

impl Away {
    /// What is known of the shard now.
    pub fn round(&self, shard: &ShardName) -> Round {
        let known = self.0.get(shard);
        Round {
            returns: known.map_or(0, |known| known.returns),
            failures: self.absence(shard).map_or(0, |absence| absence.failures),
        }
    }

    /// When the shard is to be probed; none if it is not away.
    pub fn until(&self, shard: &ShardName) -> Option<i64> {
        self.absence(shard).map(|absence| absence.until_ms)
    }

    /// How many shards are away.
    pub fn count(&self) -> usize {
        let away = self.0.values().filter(|known| known.absence.is_some());
        away.count()
    }

    /// Where the directory says that the shard is called.
    pub fn endpoint(&self, shard: &ShardName) -> Option<&str> {
        let word = self.0.get(shard)?.word.as_ref()?;
        Some(&word.endpoint)
    }

    /// Whether a message may go to the shard, for which it would wait `patience_ms` of an absence. A
    /// probe that is due is given to whoever asks first.
    pub fn gate(&mut self, shard: &ShardName, patience_ms: i64, now_ms: i64) -> Gate {
        let Some(absence) = self.absence(shard).copied() else {
            return Gate::Here(self.round(shard));
        };
        let patient_until_ms = match absence.how {
            NoAnswer::Refused => absence.since_ms.saturating_add(patience_ms),
            NoAnswer::Late => absence.since_ms,
        };
        if now_ms >= patient_until_ms {
            return Gate::Shut(self.round(shard));
        }
        match now_ms >= absence.until_ms {
            true => Gate::Probe(self.begin(shard, now_ms)),
            false => Gate::Soon(absence.until_ms.min(patient_until_ms)),
        }
    }

    /// An attempt got no answer: true if that is news, and not what one that began with it in the
    /// same round has said already, nor something of an incarnation before.
    pub fn failed(
        &mut self,
        shard: &ShardName,
        (round, how): (Round, NoAnswer),
        schedule: &Schedule,
        (now_ms, chance): (i64, f64),
    ) -> bool {
        if self.round(shard) != round {
            return false;
        }
        let longest_ms = schedule.longest_ms.min(LONGEST_MS);
        let schedule = Schedule {
            first_ms: FIRST_MS.min(longest_ms),
            longest_ms,
            ..*schedule
        };
        let failures = round.failures.saturating_add(1);
        let until_ms = schedule.next_attempt(failures, now_ms, chance);
        let before = self.absence(shard);
        let hurried = before.is_some_and(|absence| absence.hurried);
        let absence = Absence {
            failures,
            until_ms: if hurried { now_ms } else { until_ms },
            pause_ms: until_ms - now_ms,
            since_ms: before.map_or(now_ms, |absence| absence.since_ms),
            how: before.map_or(how, |absence| absence.how),
            hurried,
        };
        self.known(shard).absence = Some(absence);
        true
    }

    /// The shard took a message: true if it was away.
    pub fn answered(&mut self, shard: &ShardName) -> bool {
        let known = self.0.get_mut(shard);
        known.is_some_and(|known| known.absence.take().is_some())
    }

    /// The directory's word: true if the shard serves and that is news. Whatever failed before says
    /// nothing any more, so it is no longer away.
    pub fn heard(&mut self, shard: &ShardName, word: Word) -> bool {
        let known = self.known(shard);
        let same = |old: &Word| old.serving && old.incarnation == word.incarnation;
        let news = word.serving && !known.word.as_ref().is_some_and(same);
        known.word = Some(word);
        if news {
            known.returns = known.returns.wrapping_add(1);
            known.absence = None;
        }
        news
    }

    /// Somebody wants the shard probed now, and once more if a probe is under way that fails.
    pub fn hurry(&mut self, shard: &ShardName, now_ms: i64) {
        if let Some(absence) = self.absence_mut(shard) {
            absence.hurry(now_ms);
        }
    }

    /// Likewise all that are away.
    pub fn hurry_all(&mut self, now_ms: i64) {
        let away = self.0.values_mut().filter_map(|it| it.absence.as_mut());
        away.for_each(|absence| absence.hurry(now_ms));
    }

    /// An attempt begins; what it is to bring along to [`Away::failed`]. The next probe is not
    /// before this one would have been followed by it.
    pub fn begin(&mut self, shard: &ShardName, now_ms: i64) -> Round {
        if let Some(absence) = self.absence_mut(shard) {
            absence.hurried = false;
            absence.until_ms = now_ms + absence.pause_ms;
        }
        self.round(shard)
    }

    fn absence(&self, shard: &ShardName) -> Option<&Absence> {
        self.0.get(shard)?.absence.as_ref()
    }

    fn absence_mut(&mut self, shard: &ShardName) -> Option<&mut Absence> {
        self.0.get_mut(shard)?.absence.as_mut()
    }

    fn known(&mut self, shard: &ShardName) -> &mut Known {
        self.0.entry(shard.clone()).or_default()
    }
}

impl Absence {
    fn hurry(&mut self, now_ms: i64) {
        self.until_ms = self.until_ms.min(now_ms);
        self.hurried = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> ShardName {
        "shard-1".parse().unwrap()
    }

    const PATIENCE: i64 = 5000;

    fn word(incarnation: u64, serving: bool) -> Word {
        Word {
            incarnation: Incarnation(incarnation),
            serving,
            endpoint: format!("127.0.0.1:{incarnation}"),
        }
    }

    impl Away {
        /// An attempt that begins and ends now.
        fn fails(&mut self, how: NoAnswer, now_ms: i64) -> bool {
            let round = self.begin(&shard(), now_ms);
            self.fails_in(round, how, now_ms)
        }

        fn fails_in(&mut self, round: Round, how: NoAnswer, now_ms: i64) -> bool {
            let schedule = crate::spool::Config::default().schedule();
            self.failed(&shard(), (round, how), &schedule, (now_ms, 0.0))
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_end_with_an_answer() {
        let (mut away, shard) = (Away::default(), shard());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let round = away.begin(&shard, 1000);
            assert!(away.fails_in(round, NoAnswer::Late, 1000));
            // Those that were under way meanwhile say nothing new.
            assert!(!away.fails_in(round, NoAnswer::Late, 9000));
            pauses.push(away.until(&shard).unwrap() - 1000);
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[8..], [25_600, 51_200, 60_000, 60_000]);
        let under_way = away.begin(&shard, 2000);
        away.hurry(&shard, 2000);
        assert_eq!(away.until(&shard), Some(2000));
        assert!(away.fails_in(under_way, NoAnswer::Late, 2500));
        assert_eq!(away.until(&shard), Some(2500));
        assert!(away.fails(NoAnswer::Late, 2500));
        assert_eq!(away.until(&shard), Some(62_500));
        assert!(away.answered(&shard) && !away.answered(&shard));
        assert_eq!((away.until(&shard), away.count()), (None, 0));
        assert!(away.fails(NoAnswer::Late, 0));
        assert_eq!(away.until(&shard), Some(100));
    }

    #[test]
    fn each_shard_for_itself() {
        let (mut away, other) = (Away::default(), "shard-2".parse().unwrap());
        away.fails(NoAnswer::Refused, 0);
        away.hurry(&other, 0);
        let round = away.round(&other);
        assert_eq!(away.until(&other), None);
        assert_eq!(away.gate(&other, PATIENCE, 0), Gate::Here(round));
    }

    #[test]
    fn what_refuses_is_waited_for_for_a_while_with_one_probe_at_a_time() {
        let (mut away, shard) = (Away::default(), shard());
        assert!(matches!(away.gate(&shard, PATIENCE, 0), Gate::Here(_)));
        away.fails(NoAnswer::Refused, 0);
        assert_eq!(away.gate(&shard, PATIENCE, 99), Gate::Soon(100));
        let Gate::Probe(probe) = away.gate(&shard, PATIENCE, 100) else {
            panic!("nobody probes");
        };
        assert_eq!(away.gate(&shard, PATIENCE, 100), Gate::Soon(200));
        assert!(away.fails_in(probe, NoAnswer::Late, 150));
        assert_eq!(away.gate(&shard, PATIENCE, 150), Gate::Soon(350));
        let round = away.round(&shard);
        // However the probes fail, patience counts from the first failure.
        assert_eq!(away.gate(&shard, PATIENCE, PATIENCE), Gate::Shut(round));
        assert!(away.answered(&shard));
        assert!(matches!(
            away.gate(&shard, PATIENCE, PATIENCE),
            Gate::Here(_)
        ));
    }

    #[test]
    fn what_hangs_is_not_waited_for() {
        let (mut away, shard) = (Away::default(), shard());
        away.fails(NoAnswer::Late, 0);
        let round = away.round(&shard);
        assert_eq!(away.gate(&shard, PATIENCE, 0), Gate::Shut(round));
    }

    #[test]
    fn a_shard_that_serves_anew_is_back_and_what_failed_before_says_nothing_of_it() {
        let (mut away, shard) = (Away::default(), shard());
        assert!(away.heard(&shard, word(1, true)));
        let old = away.begin(&shard, 0);
        assert!(away.fails(NoAnswer::Refused, 0));
        // The same again is no news: it is we who cannot reach it.
        assert!(!away.heard(&shard, word(1, true)));
        assert!(!away.heard(&shard, word(2, false)));
        assert_eq!(away.count(), 1);
        assert!(away.heard(&shard, word(2, true)));
        assert_eq!(away.count(), 0);
        assert_eq!(away.endpoint(&shard), Some("127.0.0.1:2"));
        assert!(!away.fails_in(old, NoAnswer::Refused, 10));
        assert_eq!(away.count(), 0);
        assert!(away.fails(NoAnswer::Refused, 10));
        // Its lease was lost and is held again: it serves anew.
        assert!(!away.heard(&shard, word(2, false)));
        assert!(away.heard(&shard, word(2, true)));
        assert_eq!(away.count(), 0);
    }
}
