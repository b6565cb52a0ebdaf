//! A shard's volume: what fits, and when it has too much.

/// A move to a volume leaves as much of it free, in percent.
const STAYS_FREE: u64 = 15;

/// Octets of a volume that a copy wants for each octet of mail: what the directory asks for before it
/// lets a move begin.
pub(crate) const COPY_WANTS: u64 = 2;

/// A volume that is used by more than this gives, in percent,
const GIVES_ABOVE: u64 = 85;

/// until it is down to this. One that is used by as much takes nothing for evenness, or it would get
/// back what it gave.
const GIVES_DOWN_TO: u64 = 80;

/// Octets and index of mail are at most this much, in percent of the mail: what a volume uses beyond
/// is what was moved away or expunged, and reclaim will free it.
const LIVE: u64 = 125;

/// A volume, as its shard last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Octets.
    pub size: u64,
    /// Octets.
    pub free: u64,
    /// So little is free that the shard takes no mail.
    pub nearly_full: bool,
}

impl Volume {
    /// Octets of it that copies may fill, beside those that are on their way with so much mail.
    pub(crate) fn room(self, coming: u64) -> u64 {
        let kept = percent(self.size, STAYS_FREE);
        let wanted = coming.saturating_mul(COPY_WANTS);
        self.free.saturating_sub(kept).saturating_sub(wanted)
    }

    /// Whether it is so full that it takes nothing for evenness.
    pub(crate) fn is_tight(self, coming: u64) -> bool {
        let used = self.used().saturating_add(coming);
        used >= percent(self.size, GIVES_DOWN_TO)
    }

    /// Octets of mail that have to go, where `live` are on it once open moves are done: `coming` and
    /// `going` are what those bring and take.
    pub(crate) fn surplus(self, live: u64, coming: u64, going: u64) -> u64 {
        match self.will_use(live, coming, going) > percent(self.size, GIVES_ABOVE) {
            true => self.excess(live, coming, going),
            false => 0,
        }
    }

    /// What of that still has to go once it has begun.
    pub(crate) fn excess(self, live: u64, coming: u64, going: u64) -> u64 {
        let used = self.will_use(live, coming, going);
        used.saturating_sub(percent(self.size, GIVES_DOWN_TO))
            .min(live)
    }

    fn will_use(self, live: u64, coming: u64, going: u64) -> u64 {
        let used = self.used().saturating_add(coming).saturating_sub(going);
        used.min(percent(live, LIVE))
    }

    fn used(self) -> u64 {
        self.size.saturating_sub(self.free)
    }
}

fn percent(of: u64, percent: u64) -> u64 {
    let part = u128::from(of) * u128::from(percent) / 100;
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(used: u64) -> Volume {
        Volume {
            size: 1000,
            free: 1000 - used,
            nearly_full: false,
        }
    }

    #[test]
    fn room_is_what_is_free_without_what_stays_and_what_comes() {
        assert_eq!(volume(0).room(0), 850);
        assert_eq!(volume(500).room(100), 150);
        assert_eq!(volume(500).room(u64::MAX), 0);
        assert_eq!(volume(900).room(0), 0);
    }

    #[test]
    fn a_volume_gives_from_85_down_to_80_and_takes_below() {
        assert_eq!(volume(850).surplus(850, 0, 0), 0);
        assert_eq!(volume(851).surplus(851, 0, 0), 51);
        assert_eq!(volume(851).surplus(800, 0, 51), 0);
        assert_eq!(volume(851).excess(830, 0, 21), 30);
        assert_eq!(volume(851).excess(800, 0, 51), 0);
        assert_eq!(volume(851).surplus(10, 0, 0), 0);
        assert!(volume(800).is_tight(0));
        assert!(!volume(799).is_tight(0));
        assert!(volume(799).is_tight(1));
    }

    #[test]
    fn what_waits_for_reclaim_does_not_count_for_ever() {
        // All was moved away, and nothing is free yet.
        assert_eq!(volume(950).surplus(650, 0, 0), 0);
        assert_eq!(volume(950).surplus(700, 0, 0), 75);
        assert_eq!(volume(1000).surplus(u64::MAX, u64::MAX, 0), u64::MAX - 800);
    }
}
