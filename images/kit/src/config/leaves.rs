//! A configuration taken apart into single settings, so that each can be judged by itself.

use serde::Deserialize;
use toml::{Table, Value};

use super::Settings;

/// A value of the file that may be written as text or as a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// In quotes.
    Text(String),
    /// Without.
    Number(i64),
}

/// One setting and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
}

impl Leaf {
    /// Its name, with dots.
    pub(super) fn name(&self) -> String {
        self.path.join(".")
    }
}

/// All settings of a table. A table whose name is a key is one setting.
pub(super) fn of(table: Table, known: &[&str]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(Vec::new(), table, known, &mut leaves);
    leaves
}

/// All settings that have a default.
pub(super) fn of_defaults<C: Settings>(known: &[&str]) -> Vec<Leaf> {
    match Table::try_from(C::default()) {
        Ok(table) => of(table, known),
        Err(_) => Vec::new(),
    }
}

fn collect(path: Vec<String>, table: Table, known: &[&str], leaves: &mut Vec<Leaf>) {
    for (name, value) in table {
        let mut path = path.clone();
        path.push(name);
        match value {
            Value::Table(inner) if !known.contains(&path.join(".").as_str()) => {
                collect(path, inner, known, leaves);
            }
            value => leaves.push(Leaf { path, value }),
        }
    }
}

/// The table that holds these settings and nothing else.
pub(super) fn table_of<'a>(leaves: impl IntoIterator<Item = &'a Leaf>) -> Table {
    let mut table = Table::new();
    for leaf in leaves {
        insert(&mut table, &leaf.path, leaf.value.clone());
    }
    table
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            table.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = table
                .entry(name.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
