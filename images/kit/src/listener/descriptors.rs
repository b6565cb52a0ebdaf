//! File descriptors are shared by all that a process does. Whoever only connects must leave enough
//! of them for files, for the calls between tiers, and for those who read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whom a listener serves: how much of its process's descriptors its connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Who brings mail, and can come again later: up to a half.
    Inbound,
    /// Who reads mail: up to three quarters.
    Readers,
    /// Other tiers and administrators: all but an eighth, which is for files.
    Inside,
}

impl Share {
    fn of(self, limit: usize) -> usize {
        match self {
            Self::Inbound => limit / 2,
            Self::Readers => limit / 4 * 3,
            Self::Inside => limit / 8 * 7,
        }
    }

    /// What one connection takes: of a message the file that it may need, of a reader the
    /// connection to the shard.
    fn cost(self) -> usize {
        match self {
            Self::Inbound | Self::Readers => 2,
            Self::Inside => 1,
        }
    }
}

/// Below this a full house of clients is far away.
const FEW: usize = 4096;

/// The descriptors of a process, and how many of them its connections may have in use.
#[derive(Debug)]
pub(super) struct Descriptors {
    limit: usize,
    used: AtomicUsize,
}

impl Descriptors {
    /// Those of this process; the first call asks the kernel for as many as it grants.
    pub(super) fn of_process() -> Arc<Self> {
        static OURS: OnceLock<Arc<Descriptors>> = OnceLock::new();
        OURS.get_or_init(|| {
            let limit = raise();
            if limit < FEW {
                tracing::warn!(
                    limit,
                    "few file descriptors, so few connections: raise the limit of open files \
                     (ulimit -n, LimitNOFILE=)"
                );
            }
            Self::new(limit)
        })
        .clone()
    }

    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What one connection needs; `None` when this share is used up.
    pub(super) fn take(self: &Arc<Self>, share: Share) -> Option<Taken> {
        let (most, cost) = (share.of(self.limit), share.cost());
        let more = |used| Some(used + cost).filter(|more| *more <= most);
        let relaxed = Ordering::Relaxed;
        self.used.fetch_update(relaxed, relaxed, more).ok()?;
        Some(Taken {
            of: self.clone(),
            cost,
        })
    }
}

/// What a connection has; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Taken {
    of: Arc<Descriptors>,
    cost: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// Raises the soft limit to the hard one, which needs no privilege; what holds then.
fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |number| {
        usize::try_from(number).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(descriptors: &Arc<Descriptors>, share: Share) -> Vec<Taken> {
        std::iter::from_fn(|| descriptors.take(share)).collect()
    }

    #[test]
    fn inbound_mail_is_deferred_before_readers_and_both_before_other_tiers() {
        let descriptors = Descriptors::new(64);
        let inbound = fill(&descriptors, Share::Inbound);
        assert_eq!(inbound.len(), 16);
        let readers = fill(&descriptors, Share::Readers);
        assert_eq!(readers.len(), 8);
        assert_eq!(fill(&descriptors, Share::Inside).len(), 8);
        assert!(descriptors.take(Share::Inbound).is_none());
        drop(readers);
        assert!(descriptors.take(Share::Inbound).is_none());
        drop(inbound);
        assert_eq!(fill(&descriptors, Share::Inbound).len(), 16);
    }

    #[test]
    fn a_limit_that_is_none_bounds_nothing() {
        let descriptors = Descriptors::new(usize::MAX);
        assert!(descriptors.take(Share::Inbound).is_some());
    }
}
