//! Whether an object is as it is wanted: each field that is wanted has its value.
//!
//! What others added is left alone: fields that are not wanted here, further items of lists that
//! have keys, further labels. Quantities are compared by their worth, and what is empty is the same
//! as what is not there, since the API server drops it.

use serde_json::{Map, Value};

use super::path::Path;
use super::{keys, quantity};

/// The first place where something is not as it is wanted.
pub fn compare(wanted: &Value, live: &Value) -> Option<Path> {
    differs(wanted, Some(live), Path::default())
}

fn differs(wanted: &Value, live: Option<&Value>, path: Path) -> Option<Path> {
    let live = match live {
        Some(live) => live,
        None if is_nothing(wanted) => return None,
        None => return Some(path),
    };
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => of_fields(wanted, live, &path),
        (Value::Array(wanted), Value::Array(live)) => of_items(wanted, live, path),
        _ if wanted == live || same_quantity(wanted, live, &path) => None,
        _ => Some(path),
    }
}

fn of_fields(wanted: &Map<String, Value>, live: &Map<String, Value>, path: &Path) -> Option<Path> {
    wanted
        .iter()
        .find_map(|(name, value)| differs(value, live.get(name), path.field(name)))
}

fn of_items(wanted: &[Value], live: &[Value], path: Path) -> Option<Path> {
    let keys: Option<Vec<_>> = wanted
        .iter()
        .map(|item| keys::of(path.last_field(), item))
        .collect();
    if let Some(keys) = keys {
        let mut items = wanted.iter().zip(&keys);
        return items.find_map(|(item, key)| {
            let (_, named) = key.first()?;
            differs(item, keys::find(live, key), path.item(shown(named)))
        });
    }
    if wanted.len() != live.len() {
        return Some(path);
    }
    let mut items = wanted.iter().zip(live).enumerate();
    items.find_map(|(place, (item, live))| differs(item, Some(live), path.item(place)))
}

fn shown(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

/// Where the schema says int-or-string, a quantity may be written as a number.
fn same_quantity(wanted: &Value, live: &Value, path: &Path) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let is_quantity = path.passes("resources") || path.last_field() == "sizeLimit";
    let pair = text(wanted).zip(text(live));
    is_quantity && pair.is_some_and(|(wanted, live)| quantity::same(&wanted, &live))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(wanted: &Value, live: &Value) -> String {
        compare(wanted, live).map_or_else(String::new, |path| path.to_string())
    }

    #[test]
    fn what_others_added_is_left_alone() {
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers":
            [{"name": "mx", "image": "i", "env": [{"name": "A", "value": "1"}]}]}});
        let live = json!({"metadata": {"labels": {"z": "9", "a": "1"}, "uid": "u"},
            "spec": {"dnsPolicy": "ClusterFirst", "containers": [
                {"name": "injected", "image": "other"},
                {"name": "mx", "image": "i", "env": [
                    {"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}]}});
        assert_eq!(place(&wanted, &live), "");
    }

    #[test]
    fn the_first_difference_is_named() {
        let live = json!({"spec": {"replicas": 1, "containers": [{"name": "mx", "image": "i",
            "args": ["--a", "--b"], "ports": [{"containerPort": 25, "protocol": "TCP"}]}]}});
        for (wanted, expected) in [
            (json!({"spec": {"replicas": 2}}), "spec.replicas"),
            (json!({"spec": {"paused": true}}), "spec.paused"),
            (
                json!({"spec": {"containers": [{"name": "mx", "image": "j"}]}}),
                "spec.containers[mx].image",
            ),
            (
                json!({"spec": {"containers": [{"name": "sidecar"}]}}),
                "spec.containers[sidecar]",
            ),
            (
                json!({"spec": {"containers": [{"name": "mx", "args": ["--a"]}]}}),
                "spec.containers[mx].args",
            ),
            (
                json!({"spec": {"containers": [{"name": "mx", "args": ["--b", "--a"]}]}}),
                "spec.containers[mx].args[0]",
            ),
            (
                json!({"spec": {"containers": [{"name": "mx", "ports": [
                    {"containerPort": 26, "protocol": "TCP"}]}]}}),
                "spec.containers[mx].ports[26]",
            ),
            (json!({"spec": {"replicas": {"of": "a"}}}), "spec.replicas"),
        ] {
            assert_eq!(place(&wanted, &live), expected, "{wanted}");
        }
    }

    #[test]
    fn quantities_count_by_their_worth_where_they_are_quantities() {
        let wanted = json!({"resources": {"requests": {"cpu": 1, "memory": "1Gi"}}});
        let live = json!({"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}});
        assert_eq!(place(&wanted, &live), "");
        let more = json!({"resources": {"requests": {"cpu": "1001m"}}});
        assert_eq!(place(&more, &live), "resources.requests.cpu");
        assert_eq!(
            place(&json!({"name": "1k"}), &json!({"name": "1000"})),
            "name"
        );
    }

    #[test]
    fn what_is_empty_is_as_what_is_not_there() {
        let wanted = json!({"a": [], "b": {}, "c": {"d": {}}, "e": null});
        assert_eq!(place(&wanted, &json!({})), "");
        assert_eq!(place(&json!({"a": 0}), &json!({})), "a");
    }

    #[test]
    fn keyed_lists_have_no_order_and_others_do() {
        let wanted = json!({"volumes": [{"name": "a"}, {"name": "b"}]});
        let live = json!({"volumes": [{"name": "b"}, {"name": "a"}]});
        assert_eq!(place(&wanted, &live), "");
        let wanted = json!({"tolerations": [{"key": "a"}]});
        let live = json!({"tolerations": [{"key": "a"}, {"key": "b"}]});
        assert_eq!(place(&wanted, &live), "tolerations");
    }
}
