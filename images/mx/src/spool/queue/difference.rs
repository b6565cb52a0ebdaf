//! What a log does not say yet of a queue. Pure.

use crate::spool::queue::{Entry, EntryId, Event, Queue, Retry, State, Target};

/// An entry that should be on the disk and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} of the spool is not on its disk any more")]
pub struct Lost(pub EntryId);

/// The events that make `recorded` say what `now` does. Entries that only `recorded` has are done,
/// or were never acknowledged: they are removed. What is in flight is left: its outcome is to come.
pub fn difference(now: &Queue, recorded: &Queue) -> Result<Vec<Event>, Lost> {
    if let Some(lost) = all(now).find(|entry| recorded.get(entry.id).is_none()) {
        return Err(Lost(lost.id));
    }
    let mut events = Vec::new();
    for entry in all(recorded) {
        match now.get(entry.id) {
            None => events.push(Event::Removed(entry.id)),
            Some(now) => events.extend(of_entry(now, entry)),
        }
    }
    Ok(events)
}

fn all(queue: &Queue) -> impl Iterator<Item = &Entry> {
    queue.after(EntryId(0))
}

fn of_entry(now: &Entry, recorded: &Entry) -> Vec<Event> {
    let find = |index| now.targets.iter().find(|target| target.index == index);
    let targets = recorded.targets.iter();
    let events = targets.filter_map(|recorded| match find(recorded.index) {
        None => Some(Event::Done(now.id, recorded.index)),
        Some(target) if target == recorded => None,
        Some(target) => of_target(now.id, target),
    });
    events.collect()
}

fn of_target(entry: EntryId, target: &Target) -> Option<Event> {
    match &target.state {
        State::InFlight => None,
        State::Dead(reason) => Some(Event::Dead(entry, target.index, reason.clone())),
        State::Due(at) => Some(Event::Retry(Retry {
            entry,
            target: target.index,
            attempts: target.attempts,
            last_error: target.last_error.clone(),
            next_attempt_ms: *at,
            shard: target.shard.clone(),
            epoch: target.epoch,
        })),
    }
}
