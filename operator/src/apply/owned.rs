//! What we once wrote and do not want any more.
//!
//! [`super::compare`] does not see a field that was dropped: what is there beside what is wanted may
//! be somebody else's. The API server notes whose each field is, so what is noted as ours and is not
//! wanted has to be written anew without it.
//!
//! The notes are `FieldsV1` of structured-merge-diff: `f:NAME` is a field, `k:{…}` the item with
//! that key, `v:…` an item that is a plain value, `i:N` the item at that place, `.` the thing itself.

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use super::path::Path;

/// The first field that `manager` owns by applying and that is not wanted.
pub fn unwanted(wanted: &Value, live: &Value, manager: &str) -> Option<Path> {
    let notes = live.pointer("/metadata/managedFields")?.as_array()?;
    let ours = notes.iter().find(|note| {
        let says = |field: &str, value: &str| note.get(field).is_some_and(|it| it == value);
        says("manager", manager) && says("operation", "Apply") && note.get("subresource").is_none()
    })?;
    beyond(ours.get("fieldsV1")?.as_object()?, wanted, &Path::default())
}

/// The notes of what `manager` owns by applying.
pub(super) fn notes<'a>(live: &'a DynamicObject, manager: &str) -> Option<&'a Map<String, Value>> {
    let mut notes = live.metadata.managed_fields.iter().flatten();
    let ours = notes.find(|note| {
        note.manager.as_deref() == Some(manager)
            && note.operation.as_deref() == Some("Apply")
            && note.subresource.is_none()
    })?;
    ours.fields_v1.as_ref()?.0.as_object()
}

/// Of something that is there, what is noted as owned.
pub(super) fn kept(owned: &Map<String, Value>, live: &Value) -> Value {
    let within = |note: &str| owned.get(note).and_then(Value::as_object);
    // A note with nothing in it is of the whole value.
    match live {
        _ if owned.is_empty() => live.clone(),
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(name, value)| {
                let owned = within(&format!("f:{name}"))?;
                Some((name.clone(), self::kept(owned, value)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let kept = items.iter().filter_map(|item| {
                let mut notes = owned.iter();
                notes.find_map(|(note, within)| {
                    let is_it = match note.split_once(':')? {
                        ("k", key) => is_keyed(item, key),
                        ("v", value) => plain(live, value) == Some(item),
                        _ => false,
                    };
                    let within = within.as_object().filter(|_| is_it)?;
                    Some(self::kept(within, item))
                })
            });
            Value::Array(kept.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => live.clone(),
    }
}

/// The first field that is noted as owned and is not wanted.
pub(super) fn beyond(owned: &Map<String, Value>, wanted: &Value, path: &Path) -> Option<Path> {
    owned.iter().find_map(|(note, within)| {
        let (place, found) = match note.split_once(':')? {
            ("f", name) => (path.field(name), wanted.get(name)),
            ("k", key) => (path.item(key), keyed(wanted, key)),
            ("v", value) => (path.item(value), plain(wanted, value)),
            _ => return None,
        };
        let within = within.as_object()?;
        match found {
            None => Some(place),
            Some(found) => beyond(within, found, &place),
        }
    })
}

fn keyed<'a>(wanted: &'a Value, key: &str) -> Option<&'a Value> {
    let key: Map<String, Value> = serde_json::from_str(key).ok()?;
    wanted.as_array()?.iter().find(|item| has(item, &key))
}

fn is_keyed(item: &Value, key: &str) -> bool {
    let key = serde_json::from_str::<Map<String, Value>>(key);
    key.is_ok_and(|key| has(item, &key))
}

fn has(item: &Value, key: &Map<String, Value>) -> bool {
    let mut key = key.iter();
    key.all(|(name, value)| item.get(name) == Some(value))
}

fn plain<'a>(wanted: &'a Value, value: &str) -> Option<&'a Value> {
    let value: Value = serde_json::from_str(value).ok()?;
    wanted.as_array()?.iter().find(|item| **item == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const US: &str = "buzonera-operator";

    fn live(manager: &str, operation: &str) -> Value {
        json!({"metadata": {"managedFields": [{"manager": manager, "operation": operation,
            "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {
                "f:nodeSelector": {},
                "f:containers": {"k:{\"name\":\"mx\"}": {".": {}, "f:args": {}, "f:name": {}}},
                "f:finalizers": {"v:\"x\"": {}}}}}]}})
    }

    fn wanted() -> Value {
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeSelector": {"d": "ssd"},
            "containers": [{"name": "mx", "args": ["--a"]}], "finalizers": ["x", "y"]}})
    }

    fn place(wanted: &Value) -> String {
        unwanted(wanted, &live(US, "Apply"), US).map_or_else(String::new, |path| path.to_string())
    }

    #[test]
    fn what_we_own_and_want_is_in_order() {
        assert_eq!(place(&wanted()), "");
    }

    #[test]
    fn what_we_own_and_do_not_want_is_found() {
        for (pointer, field, expected) in [
            ("/metadata/labels", "a", "metadata.labels.a"),
            ("/spec", "nodeSelector", "spec.nodeSelector"),
            (
                "/spec/containers/0",
                "args",
                "spec.containers[{\"name\":\"mx\"}].args",
            ),
            (
                "/spec/containers/0",
                "name",
                "spec.containers[{\"name\":\"mx\"}]",
            ),
        ] {
            let mut less = wanted();
            let object = less.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            object.remove(field).unwrap();
            assert_eq!(place(&less), expected);
        }
        let mut less = wanted();
        less["spec"]["finalizers"] = json!(["y"]);
        assert_eq!(place(&less), "spec.finalizers[\"x\"]");
    }

    #[test]
    fn what_others_own_is_theirs() {
        let nothing = json!({});
        assert_eq!(unwanted(&nothing, &live("kubectl", "Apply"), US), None);
        assert_eq!(unwanted(&nothing, &live(US, "Update"), US), None);
        assert_eq!(unwanted(&nothing, &json!({"metadata": {}}), US), None);
    }
}
