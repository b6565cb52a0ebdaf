//! What we have just written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use parking_lot::Mutex;

use crate::objects::{Key, Kind};

/// A watch that has not come as far by then has been begun anew, and has seen newer things.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Our own writes that a watch may not have shown yet.
#[derive(Default)]
pub(super) struct Own {
    written: Mutex<HashMap<Key, (Instant, Arc<DynamicObject>)>>,
}

impl Own {
    pub(super) fn note(&self, kind: Kind, object: DynamicObject) {
        let mut written = self.written.lock();
        let now = Instant::now();
        written.retain(|_, (at, _)| now.saturating_duration_since(*at) < REMEMBERED);
        written.insert(Key::of(kind, &object), (now, Arc::new(object)));
    }

    /// It was deleted; what was written after that is another one of its name.
    pub(super) fn deleted(&self, key: &Key, last: &DynamicObject) {
        let mut written = self.written.lock();
        if written
            .get(key)
            .is_some_and(|(_, ours)| revision(ours) <= revision(last))
        {
            written.remove(key);
        }
    }

    pub(super) fn of(&self, kind: Kind) -> Vec<Arc<DynamicObject>> {
        let written = self.written.lock();
        let of_kind = written.iter().filter(|(key, _)| key.kind == kind);
        of_kind.map(|(_, (_, object))| Arc::clone(object)).collect()
    }

    /// The newer of what was written and what was seen.
    pub(super) fn newer(
        &self,
        key: &Key,
        seen: Option<Arc<DynamicObject>>,
    ) -> Option<Arc<DynamicObject>> {
        let mut written = self.written.lock();
        let Some((at, ours)) = written.get(key) else {
            return seen;
        };
        let is_old = at.elapsed() >= REMEMBERED;
        if is_old
            || seen
                .as_ref()
                .is_some_and(|seen| revision(seen) >= revision(ours))
        {
            written.remove(key);
            return seen;
        }
        Some(Arc::clone(ours))
    }
}

/// Resource versions of one kind can be compared as numbers (KEP 5504); what is no number is old.
fn revision(object: &DynamicObject) -> u64 {
    let version = object.resource_version();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str) -> DynamicObject {
        let mut object = DynamicObject::new("a", &Kind::Secret.resource()).within("mail");
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    fn seen(own: &Own, version: Option<&str>) -> Option<String> {
        let seen = version.map(|version| Arc::new(object(version)));
        let newer = own.newer(&Key::of(Kind::Secret, &object("0")), seen);
        newer.and_then(|object| object.resource_version())
    }

    #[test]
    fn what_was_written_counts_until_it_was_seen() {
        let own = Own::default();
        assert_eq!(seen(&own, Some("7")).as_deref(), Some("7"));
        own.note(Kind::Secret, object("9"));
        assert_eq!(own.of(Kind::Secret).len(), 1);
        assert_eq!(seen(&own, None).as_deref(), Some("9"));
        assert_eq!(seen(&own, Some("8")).as_deref(), Some("9"));
        // Ten is more than nine, though not as text.
        assert_eq!(seen(&own, Some("10")).as_deref(), Some("10"));
        assert_eq!(seen(&own, None), None);
    }

    #[test]
    fn what_was_deleted_is_gone_and_what_came_after_is_there() {
        let own = Own::default();
        let key = Key::of(Kind::Secret, &object("9"));
        own.note(Kind::Secret, object("9"));
        own.deleted(&key, &object("8"));
        assert_eq!(seen(&own, None).as_deref(), Some("9"));
        own.deleted(&key, &object("10"));
        assert_eq!(seen(&own, None), None);
    }
}
