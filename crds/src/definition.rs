//! The definitions that a cluster is given, as they lie in the chart.

use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::Value;

use crate::{MailCluster, MailboxShard};

/// Stands at the head of each file.
const HEAD: &str =
    "# Made from crds/src by `cargo run -p buzonera-crds`; a test fails when it differs.\n";

/// The definition of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition(CustomResourceDefinition);

/// All kinds.
pub fn all() -> Result<[Definition; 2], serde_json::Error> {
    Ok([
        Definition::new(&MailCluster::crd())?,
        Definition::new(&MailboxShard::crd())?,
    ])
}

/// Where they lie in this repository.
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.with_file_name("charts").join("buzonera/files")
}

impl Definition {
    fn new(made: &CustomResourceDefinition) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::to_value(made)?;
        tidy(&mut value);
        Ok(Self(serde_json::from_value(value)?))
    }

    /// As Kubernetes takes it.
    pub fn object(&self) -> &CustomResourceDefinition {
        &self.0
    }

    /// The name of its file, after the kind's plural.
    pub fn file(&self) -> String {
        format!("{}.yaml", self.0.spec.names.plural)
    }

    /// What stands in that file.
    pub fn yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        Ok(format!("{HEAD}{}", serde_saphyr::to_string(&self.0)?))
    }
}

/// Makes a schema as we mean it. No field takes `null` for a value: the API server then drops it, so
/// that *not there* is said in one way. The lines of a doc comment are one paragraph.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("nullable");
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = paragraphs(text);
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn paragraphs(text: &str) -> String {
    let joined = text.split("\n\n").map(|lines| lines.replace('\n', " "));
    joined.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// `kubectl apply` keeps what it applied in an annotation of at most 256 KiB, and a release of
    /// Helm, which holds both and the chart, in a Secret of at most 1 MiB.
    const LIMIT: usize = 64 * 1024;

    #[test]
    fn the_files_in_the_chart_are_what_the_types_say() {
        for definition in all().unwrap() {
            let path = folder().join(definition.file());
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            let same = found == definition.yaml().unwrap();
            assert!(
                same,
                "run `cargo run -p buzonera-crds`: {} is old",
                path.display()
            );
        }
    }

    #[test]
    fn a_definition_is_small() {
        for definition in all().unwrap() {
            let octets = definition.yaml().unwrap().len();
            assert!(octets < LIMIT, "{}: {octets} octets", definition.file());
        }
    }

    #[test]
    fn every_field_is_explained() {
        for definition in all().unwrap() {
            let value = serde_json::to_value(definition.object()).unwrap();
            let schema = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let mut silent = Vec::new();
            find_silent(schema, &definition.file(), &mut silent);
            assert!(silent.is_empty(), "{silent:?}");
        }
    }

    fn find_silent(schema: &Value, path: &str, silent: &mut Vec<String>) {
        if let Some(fields) = schema["properties"].as_object() {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                find_silent(field, &path, silent);
                if !field["description"].is_string() {
                    silent.push(path);
                }
            }
        }
        if schema["items"].is_object() {
            find_silent(&schema["items"], path, silent);
        }
    }

    #[test]
    fn no_word_is_a_boolean_of_yaml_1_1() {
        for definition in all().unwrap() {
            let value = serde_json::to_value(definition.object()).unwrap();
            let versions = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let mut words = Vec::new();
            find_words(&versions["properties"]["spec"], &mut words);
            assert!(words.len() >= 4, "{words:?}");
            let boolean = |word: &&String| {
                let word = word.to_lowercase();
                ["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&word.as_str())
            };
            assert_eq!(words.iter().find(boolean), None);
        }
    }

    fn find_words(value: &Value, words: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let listed = map.get("enum").and_then(Value::as_array);
                words.extend(
                    listed
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(str::to_owned),
                );
                map.values().for_each(|value| find_words(value, words));
            }
            Value::Array(items) => items.iter().for_each(|value| find_words(value, words)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What stands in an object, in YAML, and not any more once the type has read it; what is empty
    /// says nothing.
    pub(crate) fn lost<T: Serialize + DeserializeOwned>(yaml: &str) -> Vec<String> {
        let read: T = serde_saphyr::from_str(yaml).unwrap();
        let written = serde_json::to_value(read).unwrap();
        let stood: Value = serde_saphyr::from_str(yaml).unwrap();
        let mut lost = Vec::new();
        compare(&stood, &written, "", &mut lost);
        lost
    }

    fn compare(stood: &Value, written: &Value, path: &str, lost: &mut Vec<String>) {
        let empty = |value: &Value| {
            value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        match (stood, written) {
            (Value::Object(stood), written) => {
                for (name, value) in stood.iter().filter(|(_, value)| !empty(value)) {
                    compare(value, &written[name], &format!("{path}.{name}"), lost);
                }
            }
            (Value::Array(stood), written) => {
                for (index, value) in stood.iter().enumerate() {
                    compare(value, &written[index], &format!("{path}[{index}]"), lost);
                }
            }
            (stood, written) if stood == written => {}
            (stood, written) => lost.push(format!("{path}: {stood} became {written}")),
        }
    }

    #[test]
    fn lines_become_paragraphs() {
        assert_eq!(
            paragraphs("one\nline\n\nand\nanother"),
            "one line\n\nand another"
        );
    }
}
