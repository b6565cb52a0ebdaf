//! What a round may do: pure.

use crds::mail_cluster::RebalanceMode;
use plan::{Flow, Why};

use super::stop::Tag;

/// Moves are asked for in advance, so that the directory never waits for the next round.
const AHEAD: usize = 8;

/// At least so many may be open.
const LEAST: usize = 64;

/// And at most.
const MOST: usize = 4096;

/// Those flows that run, and what for: what leaves goes in every mode, since whoever wants fewer
/// shards has said so.
pub fn flows(all: &[Flow], mode: RebalanceMode, is_due: bool) -> Vec<(Flow, Tag)> {
    let tag = |flow: &Flow| match flow.why {
        Why::Leaving => Some(Tag::Leaving),
        Why::Full | Why::Uneven => match mode {
            RebalanceMode::Auto => is_due.then_some(Tag::Auto),
            RebalanceMode::DryRun | RebalanceMode::Disabled => None,
        },
    };
    let tagged = all.iter().map(|flow| Some((flow.clone(), tag(flow)?)));
    tagged.flatten().collect()
}

/// How many moves may be open, those that only wait included.
pub fn most_open(per_shard: u32, shards: usize) -> usize {
    let per_shard = usize::try_from(per_shard).unwrap_or(MOST);
    let wanted = per_shard.saturating_mul(shards).saturating_mul(AHEAD);
    wanted.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(why: Why) -> Flow {
        Flow {
            from: "a-0".parse().unwrap(),
            to: "a-1".parse().unwrap(),
            why,
            share: 1,
            accounts: 1,
            bytes: 1,
        }
    }

    #[test]
    fn what_leaves_goes_in_every_mode_and_the_rest_by_consent() {
        let all = [flow(Why::Leaving), flow(Why::Full), flow(Why::Uneven)];
        let [leaving, full, uneven] = all.clone();
        let first = (leaving, Tag::Leaving);
        for mode in [RebalanceMode::Disabled, RebalanceMode::DryRun] {
            assert_eq!(flows(&all, mode, true), vec![first.clone()]);
        }
        let due = [first.clone(), (full, Tag::Auto), (uneven, Tag::Auto)];
        assert_eq!(flows(&all, RebalanceMode::Auto, true), due);
        assert_eq!(flows(&all, RebalanceMode::Auto, false), [first]);
    }

    #[test]
    fn as_many_are_open_as_keep_the_shards_busy() {
        assert_eq!(most_open(1, 2), LEAST);
        assert_eq!(most_open(4, 10), 320);
        assert_eq!(most_open(64, 1000), MOST);
    }
}
