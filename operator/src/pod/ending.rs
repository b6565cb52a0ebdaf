//! How long a pod has to end: one table for the process' own flags and for Kubernetes.

use crate::names::Tier;

/// How a tier's process ends after SIGTERM, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How long it goes on accepting, so that whoever balances load sees it leave; none: it does
    /// not know such a time.
    pub lame_duck: Option<u32>,
    /// How long what it has then may go on.
    pub drain: u32,
    /// What it takes beyond that at most.
    pub rest: u32,
}

impl Ending {
    /// Of a tier. Callers inside ask another replica or wait, and need no long lame-duck time;
    /// balancers outside and clients that have just looked a name up do.
    pub fn of(tier: Tier) -> Self {
        let lame_duck = match tier {
            Tier::Etcd => None,
            Tier::Directory => Some(5),
            Tier::Storage => Some(1),
            Tier::Proxy | Tier::Mx => Some(20),
        };
        let rest = match tier {
            Tier::Etcd => 0,
            Tier::Directory | Tier::Storage | Tier::Proxy | Tier::Mx => 5,
        };
        Self {
            lame_duck,
            drain: 60,
            rest,
        }
    }

    /// The pod's `terminationGracePeriodSeconds`.
    pub fn grace(self) -> i64 {
        i64::from(self.lame_duck.unwrap_or(0) + self.drain + self.rest)
    }

    /// The flags that tell the process.
    pub(crate) fn flags(self) -> Vec<String> {
        let Some(lame_duck) = self.lame_duck else {
            return Vec::new();
        };
        vec![
            format!("--lame-duck={lame_duck}s"),
            format!("--drain={}s", self.drain),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_waits_as_long_as_the_process_may_need() {
        let graces = Tier::ALL.map(|tier| Ending::of(tier).grace());
        assert_eq!(graces, [60, 70, 66, 85, 85]);
    }
}
