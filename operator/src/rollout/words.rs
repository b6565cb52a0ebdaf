//! Why a pod does not come up, in Kubernetes' words and its own last ones.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

/// So much of what somebody said is told; a condition has room for more, a reader has not.
const LAST_WORDS: usize = 300;

/// What keeps it. None: it is ready.
pub(crate) fn why(pod: &DynamicObject) -> Option<String> {
    let name = pod.name_any();
    let states = || {
        let containers = pod.data.pointer("/status/containerStatuses");
        containers.and_then(Value::as_array).into_iter().flatten()
    };
    let waits = states().find_map(|it| it.pointer("/state/waiting"));
    let ended = ["/state/terminated", "/lastState/terminated"];
    let mut ends = ended
        .iter()
        .flat_map(|state| states().filter_map(|it| it.pointer(state)));
    let last = ends.find_map(|ended| told(&ended["message"])).map(tail);
    if let Some(waits) = waits {
        let reason = told(&waits["reason"]).unwrap_or("waiting");
        let message = last.or_else(|| told(&waits["message"]).map(tail));
        return Some(format!("{name}: {}", with(reason, message)));
    }
    if let Some(placed) = condition(pod, "PodScheduled").filter(|it| it["status"] == "False") {
        let reason = told(&placed["reason"]).unwrap_or("Unschedulable");
        return Some(format!(
            "{name}: {}",
            with(reason, told(&placed["message"]).map(tail))
        ));
    }
    match condition(pod, "Ready") {
        Some(ready) if ready["status"] == "True" => None,
        Some(_) | None => Some(format!("{name}: {}", with("it is not ready", last))),
    }
}

/// A condition of a pod.
pub(super) fn condition<'a>(pod: &'a DynamicObject, about: &str) -> Option<&'a Value> {
    let conditions = pod.data.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|it| it["type"] == about)
}

fn told(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

fn with(reason: &str, message: Option<String>) -> String {
    match message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

/// The beginning of what was said, for a condition.
pub(crate) fn head(text: &str) -> String {
    text.trim().chars().take(LAST_WORDS).collect()
}

fn tail(text: &str) -> String {
    let text = text.trim();
    let start = text.char_indices().rev().nth(LAST_WORDS - 1);
    text[start.map_or(0, |(place, _)| place)..].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "a-0-0"}, "status": status});
        why(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_pod_says_what_keeps_it() {
        let waiting = json!({"reason": "ErrImagePull", "message": "no such image"});
        let crashed = json!({"exitCode": 2, "message": "data: no such folder\n"});
        let crash = json!({"reason": "CrashLoopBackOff", "message": "back-off 5m0s"});
        let ready = |status| json!({"conditions": [{"type": "Ready", "status": status}]});
        for (status, expected) in [
            (ready("True"), None),
            (ready("False"), Some("it is not ready")),
            (json!({}), Some("it is not ready")),
            (
                json!({"containerStatuses": [{"state": {"waiting": waiting}}]}),
                Some("ErrImagePull: no such image"),
            ),
            (
                json!({"containerStatuses": [{"state": {"waiting": crash},
                    "lastState": {"terminated": crashed}}]}),
                Some("CrashLoopBackOff: data: no such folder"),
            ),
            (
                json!({"containerStatuses": [{"state": {"running": {}},
                    "lastState": {"terminated": crashed}}]}),
                Some("it is not ready: data: no such folder"),
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/2 nodes are available"}]}),
                Some("Unschedulable: 0/2 nodes are available"),
            ),
        ] {
            let expected = expected.map(|text| format!("a-0-0: {text}"));
            assert_eq!(of(status.clone()), expected, "{status}");
        }
    }

    #[test]
    fn the_end_of_long_words_is_told() {
        let long = format!("{}end", "ä".repeat(1000));
        let told = tail(&long);
        assert_eq!(told.chars().count(), LAST_WORDS);
        assert!(told.ends_with("end"));
    }
}
