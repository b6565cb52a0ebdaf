//! The full example has every field, so that the golden files know what each does.

use crds::definition;
use serde_json::Value;

use crate::world::read;

#[test]
fn the_full_example_has_every_field() {
    let files = ["full.yaml", "full.shard.yaml"];
    for (definition, file) in definition::all().unwrap().iter().zip(files) {
        let object = serde_json::to_value(definition.object()).unwrap();
        let schema = &object["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let written: Value = serde_saphyr::from_str(&read(file.as_ref())).unwrap();
        let mut missing = Vec::new();
        compare(
            &schema["properties"]["spec"],
            &[&written["spec"]],
            "spec",
            &mut missing,
        );
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

/// All tiers' Services have one schema, and a rule that refuses this.
const REFUSED: &str = "spec.proxy.services[].clientCA";

/// Each field stands in at least one of those that are of this schema.
fn compare(schema: &Value, written: &[&Value], path: &str, missing: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let found = written.iter().filter_map(|value| value.get(name));
        let found: Vec<_> = found.collect();
        if path == REFUSED {
            continue;
        }
        if found.is_empty() {
            missing.push(path.clone());
        }
        compare(field, &found, &path, missing);
    }
    if schema["items"].is_object() {
        let items = written
            .iter()
            .filter_map(|value| value.as_array())
            .flatten();
        let items: Vec<_> = items.collect();
        compare(&schema["items"], &items, &format!("{path}[]"), missing);
    }
}
