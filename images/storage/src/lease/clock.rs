//! When a lease holds. Pure: times come from outside, counted from the machine's start.

use std::time::Duration;

use wire::ids::Incarnation;

/// What the shard may do by its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Acknowledge and answer.
    Held,
    /// It ran out: ask before the next answer.
    Expired,
    /// It ran out, and whoever was asked did not answer: serve reads, refuse writes.
    Silent,
    /// A higher incarnation exists: end.
    Superseded(Incarnation),
}

/// The lease of one incarnation.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeaseClock {
    ttl: Duration,
    held_until: Duration,
    silent_at: Option<Duration>,
    superseded: Option<Incarnation>,
}

impl LeaseClock {
    /// Granted or renewed by a request that was sent at `sent`: the directory counts from later.
    pub fn granted(&mut self, sent: Duration, ttl: Duration) {
        self.ttl = ttl;
        self.held_until = self.held_until.max(sent + ttl);
        self.silent_at = None;
    }

    /// Nobody answered a question that was sent at `sent`.
    pub fn unanswered(&mut self, sent: Duration) {
        self.silent_at = self.silent_at.max(Some(sent));
    }

    /// A higher incarnation exists; there is no way back.
    pub fn superseded(&mut self, by: Incarnation) {
        self.superseded = Some(by);
    }

    /// What holds at `now`. A silence counts for one lease time: a process that was stopped for
    /// longer asks again.
    pub fn standing(&self, now: Duration) -> Standing {
        if let Some(by) = self.superseded {
            return Standing::Superseded(by);
        }
        if now < self.held_until {
            return Standing::Held;
        }
        match self.silent_at {
            Some(sent) if sent >= self.held_until && now < sent + self.ttl => Standing::Silent,
            _ => Standing::Expired,
        }
    }

    /// When to renew: with a third of the lease time left twice over.
    pub fn renew_at(&self) -> Duration {
        self.held_until.saturating_sub(self.ttl * 2 / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn granted() -> LeaseClock {
        let mut clock = LeaseClock::default();
        assert_eq!(clock.standing(at(0)), Standing::Expired);
        clock.granted(at(100), TTL);
        clock
    }

    #[test]
    fn holds_from_when_it_was_sent() {
        let mut clock = granted();
        assert_eq!(clock.standing(at(119)), Standing::Held);
        assert_eq!(clock.standing(at(120)), Standing::Expired);
        assert_eq!(clock.renew_at(), at(100) + TTL - TTL * 2 / 3);
        clock.granted(at(110), TTL);
        assert_eq!(clock.standing(at(129)), Standing::Held);
        // An answer to an older question takes nothing away.
        clock.granted(at(101), TTL);
        assert_eq!(clock.standing(at(129)), Standing::Held);
    }

    #[test]
    fn a_silence_counts_only_after_the_end_and_for_one_lease_time() {
        let mut clock = granted();
        clock.unanswered(at(119));
        assert_eq!(clock.standing(at(121)), Standing::Expired);
        clock.unanswered(at(121));
        assert_eq!(clock.standing(at(140)), Standing::Silent);
        assert_eq!(clock.standing(at(141)), Standing::Expired);
        clock.granted(at(141), TTL);
        assert_eq!(clock.standing(at(142)), Standing::Held);
    }

    #[test]
    fn superseded_for_good() {
        let mut clock = granted();
        clock.superseded(Incarnation(9));
        clock.granted(at(130), TTL);
        assert_eq!(
            clock.standing(at(131)),
            Standing::Superseded(Incarnation(9))
        );
    }
}
