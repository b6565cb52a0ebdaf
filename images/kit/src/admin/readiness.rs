//! What must hold for a process to be ready, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Named conditions; cheap to clone. A process is ready when all hold. None of them may be that
/// another tier answers: then a tier that is away would take the others with it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Why each unmet condition does not hold, by its number.
    conditions: Arc<Mutex<Conditions>>,
}

#[derive(Debug, Default)]
struct Conditions {
    next: u64,
    all: BTreeMap<u64, (String, Option<String>)>,
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
        let starting = Some("starting".to_owned());
        conditions.all.insert(number, (name.into(), starting));
        Condition {
            number,
            readiness: self.clone(),
        }
    }

    /// The conditions that do not hold, each "name: why".
    pub fn unmet(&self) -> Vec<String> {
        let conditions = self.lock();
        let unmet = conditions.all.values().filter_map(|(name, why)| {
            let why = why.as_ref()?;
            Some(format!("{name}: {why}"))
        });
        unmet.collect()
    }

    /// Whether all conditions hold.
    pub fn is_ready(&self) -> bool {
        self.unmet().is_empty()
    }

    fn set(&self, number: u64, why: Option<String>) {
        if let Some(condition) = self.lock().all.get_mut(&number) {
            condition.1 = why;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        self.conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// It holds.
    pub fn met(&self) {
        self.readiness.set(self.number, None);
    }

    /// It does not hold, and why.
    pub fn unmet(&self, why: impl Into<String>) {
        self.readiness.set(self.number, Some(why.into()));
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
        lease.met();
        drop(index);
        assert_eq!(readiness.unmet(), ["index: ended"]);
    }
}
