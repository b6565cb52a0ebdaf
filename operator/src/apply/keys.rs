//! What tells the items of a list apart, as Kubernetes' schemas have it.

use serde_json::Value;

/// Fields that are keys of lists in the objects that we make, the most telling first. `protocol` is
/// always written out beside a port, so a port's number is enough only together with it.
const KEYS: [&[&str]; 6] = [
    &["name"],
    &["mountPath"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["topologyKey", "whenUnsatisfiable"],
    &["uid"],
];

/// Lists whose items have a `name` that is no key, or that are one value however long.
const ATOMIC: [&str; 6] = [
    "tolerations",
    "args",
    "command",
    "items",
    "accessModes",
    "ipFamilies",
];

/// The key of an item in the list that a field holds; none: its place is all that it has.
pub(super) fn of(field: &str, item: &Value) -> Option<Vec<(&'static str, Value)>> {
    if ATOMIC.contains(&field) {
        return None;
    }
    // Ports have names too, but are merged by their numbers.
    let keys = match field {
        "ports" => &KEYS[2..4],
        "ownerReferences" => &KEYS[5..],
        _ => &KEYS[..],
    };
    keys.iter().find_map(|fields| {
        let value = |field: &&'static str| Some((*field, item.get(*field)?.clone()));
        fields.iter().map(value).collect()
    })
}

/// The item with this key.
pub(super) fn find<'a>(list: &'a [Value], key: &[(&str, Value)]) -> Option<&'a Value> {
    let fits = |item: &&Value| {
        key.iter()
            .all(|(field, value)| item.get(*field) == Some(value))
    };
    list.iter().find(fits)
}
