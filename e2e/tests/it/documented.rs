//! What JSON.md says of each result, read from its tables.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::places;
use serde_json::Value;

/// JSON.md: kinds of results with their fields, and what each command prints.
pub(crate) struct Document {
    /// Field and type, by kind.
    kinds: BTreeMap<String, BTreeMap<String, String>>,
    /// Every command, with what it prints.
    pub(crate) commands: BTreeMap<String, String>,
}

impl Document {
    /// Reads it.
    pub(crate) fn read() -> Result<Self> {
        let path = places::workspace().join("images/buzonera/JSON.md");
        let text = fs::read_to_string(path)?;
        let mut sections = text.split("\n## ");
        let mut commands = BTreeMap::new();
        for [names, prints, ..] in rows(sections.next().unwrap_or_default()) {
            for name in names.split(',') {
                commands.insert(bare(name), prints.clone());
            }
        }
        let kinds = sections.map(|section| {
            let (kind, _) = section.split_once('\n').unwrap_or((section, ""));
            let fields = rows(section).map(|[name, of_type, ..]| (bare(&name), of_type));
            (kind.to_owned(), fields.collect())
        });
        Ok(Self {
            kinds: kinds.collect(),
            commands,
        })
    }

    /// The one result `value` has exactly the fields of `kind`, each of its type. `left_out` are
    /// those that only some commands print.
    pub(crate) fn fits(&self, value: &Value, kind: &str, left_out: &[&str]) -> Result<()> {
        let fields = self.kinds.get(kind).with_context(|| format!("no {kind}"))?;
        let object = value.as_object().with_context(|| format!("{value}"))?;
        let wanted: Vec<&str> = fields.keys().map(String::as_str).collect();
        let wanted: Vec<&str> = wanted
            .into_iter()
            .filter(|name| !left_out.contains(name))
            .collect();
        let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
        found.sort_unstable();
        ensure!(found == wanted, "{kind}: {found:?}, and not {wanted:?}");
        for (name, value) in object {
            self.is_of(value, &fields[name])
                .with_context(|| format!("{kind}.{name}: {value}"))?;
        }
        Ok(())
    }

    /// Every element fits.
    pub(crate) fn fit(&self, values: &Value, kind: &str, left_out: &[&str]) -> Result<()> {
        let values = values.as_array().context("not an array")?;
        ensure!(!values.is_empty(), "an empty array of {kind} shows nothing");
        values
            .iter()
            .try_for_each(|value| self.fits(value, kind, left_out))
    }

    fn is_of(&self, value: &Value, of_type: &str) -> Result<()> {
        if let Some(bare) = of_type.strip_suffix(" or null") {
            return if value.is_null() {
                Ok(())
            } else {
                self.is_of(value, bare)
            };
        }
        if let Some(kind) = of_type.strip_prefix("array of ") {
            let values = value.as_array().context("not an array")?;
            return values.iter().try_for_each(|value| self.is_of(value, kind));
        }
        let fits = match of_type {
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "boolean" => value.is_boolean(),
            kind if self.kinds.contains_key(kind) => return self.fits(value, kind, &[]),
            other => bail!("there is no type {other}"),
        };
        ensure!(fits, "not a {of_type}");
        Ok(())
    }
}

/// The rows below a table's heading: at least two cells each.
fn rows(section: &str) -> impl Iterator<Item = [String; 2]> + '_ {
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines.filter_map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        Some([cells.next()?.to_owned(), cells.next()?.to_owned()])
    })
}

fn bare(name: &str) -> String {
    name.trim().trim_matches('`').to_owned()
}
