//! What must hold for a process to be ready, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// Named conditions; cheap to clone. A process is ready when all hold. None of them may be that
/// another tier answers: then a tier that is away would take the others with it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// By their numbers.
    conditions: Arc<Mutex<Conditions>>,
}

#[derive(Debug, Default)]
struct Conditions {
    next: u64,
    all: BTreeMap<u64, (String, State)>,
}

#[derive(Debug)]
enum State {
    /// It does not hold, and why.
    Unmet(String),
    /// It holds.
    Met,
    /// It holds, and this should be known.
    MetBut(String),
}

/// One condition; dropping it leaves it unmet, since whoever kept it up is gone.
#[derive(Debug)]
pub struct Condition {
    number: u64,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a condition that does not hold yet, for example "shard-1: lease".
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let mut conditions = self.lock();
        let number = conditions.next;
        conditions.next += 1;
        let starting = State::Unmet("starting".to_owned());
        conditions.all.insert(number, (name.into(), starting));
        Condition {
            number,
            readiness: self.clone(),
        }
    }

    /// The conditions that do not hold, each "name: why".
    pub fn unmet(&self) -> Vec<String> {
        self.told(|state| match state {
            State::Unmet(why) => Some(why),
            State::Met | State::MetBut(_) => None,
        })
    }

    /// What should be known of conditions that hold, each "name: what".
    pub fn remarks(&self) -> Vec<String> {
        self.told(|state| match state {
            State::MetBut(what) => Some(what),
            State::Met | State::Unmet(_) => None,
        })
    }

    /// Whether all conditions hold.
    pub fn is_ready(&self) -> bool {
        self.unmet().is_empty()
    }

    fn told(&self, text: impl Fn(&State) -> Option<&String>) -> Vec<String> {
        let conditions = self.lock();
        let told = conditions.all.values().filter_map(|(name, state)| {
            let text = text(state)?;
            Some(format!("{name}: {text}"))
        });
        told.collect()
    }

    fn set(&self, number: u64, state: State) {
        if let Some(condition) = self.lock().all.get_mut(&number) {
            condition.1 = state;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        self.conditions.lock()
    }
}

impl Condition {
    /// It holds.
    pub fn met(&self) {
        self.readiness.set(self.number, State::Met);
    }

    /// It holds, and yet something is wrong that who looks should know: the work that can still be
    /// done is more than what would be done elsewhere.
    pub fn met_but(&self, what: impl Into<String>) {
        self.readiness.set(self.number, State::MetBut(what.into()));
    }

    /// It does not hold, and why.
    pub fn unmet(&self, why: impl Into<String>) {
        self.readiness.set(self.number, State::Unmet(why.into()));
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.unmet("ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_conditions_hold() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let lease = readiness.condition("lease");
        let index = readiness.condition("index");
        assert_eq!(readiness.unmet(), ["lease: starting", "index: starting"]);
        lease.met();
        index.met();
        assert!(readiness.is_ready());
        lease.unmet("held by another");
        assert_eq!(readiness.unmet(), ["lease: held by another"]);
        lease.met_but("it ends soon");
        assert_eq!(readiness.unmet(), Vec::<String>::new());
        assert_eq!(readiness.remarks(), ["lease: it ends soon"]);
        lease.met();
        assert_eq!(readiness.remarks(), Vec::<String>::new());
        drop(index);
        assert_eq!(readiness.unmet(), ["index: ended"]);
    }
}
