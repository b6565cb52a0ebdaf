//! Where a load that must go finds a place: with those that have least.

use crate::level::{Column, level};
use crate::load::Limits;
use crate::share::{Share, WHOLE};

/// The loads within which a shard is let alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Band {
    pub(crate) low: Share,
    pub(crate) target: Share,
    pub(crate) high: Share,
}

impl Band {
    pub(crate) fn around(target: Share, limits: &Limits) -> Self {
        let percent = Share::from(limits.tolerance_percent.min(100));
        let by = |percent: Share| target / 100 * percent + target % 100 * percent / 100;
        let below = 100 - percent;
        // The lower end is rounded up, so that neither end is further away than is tolerated.
        let low = target / 100 * below + (target % 100 * below + 99) / 100;
        Self {
            low,
            target,
            high: by(100 + percent),
        }
    }
}

/// One that may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker {
    pub(crate) load: Share,
    pub(crate) band: Band,
    /// The most that it has room for.
    pub(crate) room: Share,
}

/// How much each takes of a load that must go: first what brings those that are below their band into
/// it, then what brings them to their targets, then whatever there is room for. Each time those that
/// have least take most.
pub(crate) fn fill(takers: &[Taker], need: Share) -> Vec<Share> {
    let ends: [fn(&Taker) -> Share; 3] = [
        |taker| taker.band.low - taker.load,
        |taker| taker.band.target - taker.load,
        |_| WHOLE,
    ];
    let mut takes = vec![0; takers.len()];
    for end in ends {
        let columns: Vec<_> = takers
            .iter()
            .zip(&takes)
            .map(|(taker, takes)| Column {
                height: taker.band.target - taker.load - takes,
                limit: end(taker).min(taker.room) - takes,
            })
            .collect();
        let left = need - takes.iter().sum::<Share>();
        for (takes, more) in takes.iter_mut().zip(level(&columns, left.max(0))) {
            *takes += more;
        }
    }
    takes
}

/// How much each of these gives and takes, so that all come into their bands and as little as can be
/// moves. One that may give takes nothing and the other way round, unless it is within its band.
pub(crate) fn even(takers: &[Taker]) -> (Vec<Share>, Vec<Share>) {
    let gives: Vec<Share> = takers
        .iter()
        .map(|it| (it.load - it.band.high).max(0))
        .collect();
    let takes: Vec<Share> = takers
        .iter()
        .map(|it| (it.band.low - it.load).min(it.room).max(0))
        .collect();
    let (given, taken) = (gives.iter().sum::<Share>(), takes.iter().sum::<Share>());
    let givers = takers.iter().zip(&gives).map(|(it, gives)| Column {
        height: it.load - it.band.target - gives,
        limit: it.load - it.band.target - gives,
    });
    let more_given = level(&givers.collect::<Vec<_>>(), (taken - given).max(0));
    let takers = takers.iter().zip(&takes).map(|(it, takes)| Column {
        height: it.band.target - it.load - takes,
        limit: (it.band.target - it.load).min(it.room) - takes,
    });
    let more_taken = level(&takers.collect::<Vec<_>>(), (given - taken).max(0));
    (added(gives, more_given), added(takes, more_taken))
}

fn added(mut to: Vec<Share>, more: Vec<Share>) -> Vec<Share> {
    for (to, more) in to.iter_mut().zip(more) {
        *to += more;
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(load: Share, target: Share) -> Taker {
        let limits = Limits {
            tolerance_percent: 10,
        };
        Taker {
            load,
            band: Band::around(target, &limits),
            room: WHOLE,
        }
    }

    #[test]
    fn a_band_is_no_wider_than_the_tolerance() {
        let limits = |tolerance_percent| Limits { tolerance_percent };
        let band = Band::around(333_333, &limits(10));
        assert_eq!((band.low, band.high), (300_000, 366_666));
        let band = Band::around(WHOLE, &limits(u32::MAX));
        assert_eq!((band.low, band.high), (0, 2 * WHOLE));
        let band = Band::around(7, &limits(0));
        assert_eq!((band.low, band.high), (7, 7));
    }

    #[test]
    fn what_is_missing_is_given_by_those_with_most() {
        let (gives, takes) = even(&[
            taker(500_000, 333_333),
            taker(500_000, 333_333),
            taker(0, 333_333),
        ]);
        assert_eq!(gives, [150_000, 150_000, 0]);
        assert_eq!(takes, [0, 0, 300_000]);
        let (gives, _) = even(&[taker(350, 300), taker(290, 300), taker(260, 300)]);
        assert_eq!(gives, [20, 0, 0]);
    }

    #[test]
    fn what_is_too_much_is_taken_by_those_with_least() {
        let (gives, takes) = even(&[taker(400, 300), taker(280, 300), taker(290, 300)]);
        assert_eq!(gives, [70, 0, 0]);
        assert_eq!(takes, [0, 20, 10]);
    }

    #[test]
    fn a_load_that_must_go_finds_a_place_beyond_the_targets() {
        let takers = [taker(260, 300), taker(290, 300), taker(300, 300)];
        assert_eq!(fill(&takers, 5), [5, 0, 0]);
        assert_eq!(fill(&takers, 20), [20, 0, 0]);
        assert_eq!(fill(&takers, 50), [40, 10, 0]);
        assert_eq!(fill(&takers, 80), [50, 20, 10]);
        // The smaller one misses less, and is as far below its band.
        assert_eq!(fill(&[taker(420, 500), taker(50, 100)], 50), [30, 20]);
        let mut tight = takers;
        tight[0].room = 3;
        assert_eq!(fill(&tight, 50), [3, 29, 18]);
    }
}
