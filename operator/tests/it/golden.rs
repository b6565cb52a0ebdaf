//! A new operator changes no pod: what it makes for a release is written down, to the octet.

use std::collections::BTreeMap;

use operator::names::Tier;
use serde_json::{Map, Value};

use crate::world::{BOTH, World, folder, operator};

/// Set to write the files anew.
const WRITE: &str = "BUZONERA_WRITE_GOLDEN";

const COMMAND: &str =
    "BUZONERA_WRITE_GOLDEN=1 cargo test --package buzonera-operator --test it golden";

#[test]
fn what_is_made_is_what_was_written_down() {
    let line = operator().release.line();
    std::fs::create_dir_all(folder().join(&line)).unwrap();
    let mut old = Vec::new();
    for name in BOTH {
        let world = World::golden(name);
        for tier in Tier::ALL {
            let path = folder().join(&line).join(format!("{name}-{tier}.yaml"));
            let made = documents(&world, tier);
            if std::env::var_os(WRITE).is_some() {
                std::fs::write(&path, &made).unwrap();
            }
            if std::fs::read_to_string(&path).unwrap_or_default() != made {
                old.push(path.display().to_string());
            }
        }
    }
    assert!(
        old.is_empty(),
        "pods of a release would change, or other objects; if that is meant: {COMMAND}\n{}",
        old.join("\n")
    );
}

/// The files of a release are for the release that this tree is.
#[test]
fn there_are_files_for_this_release() {
    let release = env!("CARGO_PKG_VERSION").parse().unwrap();
    assert_eq!(
        operator::pod::release::Release::line(&release),
        operator().release.line()
    );
    let files = std::fs::read_dir(folder().join(operator().release.line())).unwrap();
    assert_eq!(files.count(), BOTH.len() * Tier::ALL.len());
}

fn documents(world: &World, tier: Tier) -> String {
    let all = world.all().into_iter();
    let of_tier = all.filter(|object| object.place().tier == tier);
    let documents = of_tier.map(|object| serde_saphyr::to_string(&sorted(object.value())).unwrap());
    documents.collect::<Vec<_>>().join("---\n")
}

/// Whatever order a map of JSON keeps in this build.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| (key.clone(), sorted(value)));
            let pairs: BTreeMap<_, _> = pairs.collect();
            Value::Object(pairs.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
