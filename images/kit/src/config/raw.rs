//! Settings as they were found, before they are judged.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::flags::{self, Described};
use super::leaves::{self, Leaf};
use super::problem::{ConfigError, Problem, flag};
use super::{Program, Settings, file};

/// File and flags, and what has turned out wrong with them.
pub(crate) struct Raw {
    file: Option<PathBuf>,
    /// From the file; a setting that a flag sets too is only among the flags.
    leaves: Vec<Leaf>,
    flags: Vec<(String, String)>,
    keys: Vec<Described>,
    problems: Vec<Problem>,
}

impl Raw {
    /// Reads the command line and the file it names. `parts` are the keys of all parts.
    pub(crate) fn read(
        program: &Program,
        parts: Vec<Vec<Described>>,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, ConfigError> {
        let keys: Vec<_> = parts.into_iter().flatten().collect();
        let given = flags::read(program, &keys, args)?;
        let table = match &given.file {
            Some(path) => file::read(path)?,
            None => Table::new(),
        };
        let names = keys.iter().map(|described| described.key.name.as_str());
        let known: Vec<_> = names.collect();
        let mut leaves = leaves::of(table, &known);
        leaves.retain(|leaf| !given.flags.iter().any(|(key, _)| *key == leaf.name()));
        let mut raw = Self {
            file: given.file,
            leaves,
            flags: given.flags,
            keys,
            problems: Vec::new(),
        };
        raw.note_unknown();
        Ok(raw)
    }

    /// One part of the configuration; `None` when something of it is wrong, which
    /// [`Self::finish`] reports.
    pub(crate) fn take<C: Settings>(&mut self) -> Option<C> {
        let before = self.problems.len();
        let mut good = self.good_of_file::<C>();
        good.extend(self.good_of_flags::<C>());
        if self.problems.len() > before {
            return None;
        }
        match leaves::table_of(&good).try_into::<C>() {
            Ok(config) => {
                self.problems.extend(config.check());
                Some(config)
            }
            Err(error) => {
                let text = error.message().to_owned();
                self.problems.push(Problem::anywhere(text));
                None
            }
        }
    }

    /// Every problem there is.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Settings(self.problems))
    }

    /// Each setting of the file alone: the others stay at their defaults, so what fails is it.
    fn good_of_file<C: Settings>(&mut self) -> Vec<Leaf> {
        let mut good = Vec::new();
        for leaf in self
            .leaves
            .iter()
            .filter(|leaf| is_key_of::<C>(&leaf.name()))
        {
            match try_leaf::<C>(leaf) {
                Ok(()) => good.push(leaf.clone()),
                Err(why) => self.problems.push(Problem::anywhere(format!(
                    "`{}` in {}: {why}{}",
                    leaf.name(),
                    self.file_name(),
                    self.what_works(&leaf.name()),
                ))),
            }
        }
        good
    }

    fn good_of_flags<C: Settings>(&mut self) -> Vec<Leaf> {
        let mut good = Vec::new();
        for (key, text) in self.flags.iter().filter(|(key, _)| is_key_of::<C>(key)) {
            match leaf_of_flag::<C>(key, text) {
                Ok(leaf) => good.push(leaf),
                Err(why) => self.problems.push(Problem::anywhere(format!(
                    "flag {} {text:?}: {why}{}",
                    flag(key),
                    self.what_works(key),
                ))),
            }
        }
        good
    }

    fn note_unknown(&mut self) {
        for leaf in &self.leaves {
            let name = leaf.name();
            if self.keys.iter().any(|described| described.key.name == name) {
                continue;
            }
            let near = self.nearest(&name);
            let hint = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
            let text = format!(
                "`{name}` in {}: there is no such key{hint}",
                self.file_name()
            );
            self.problems.push(Problem::anywhere(text));
        }
    }

    /// The known key that shares most of its ends with an unknown one, if more than half.
    fn nearest(&self, name: &str) -> Option<&str> {
        let names = self
            .keys
            .iter()
            .map(|described| described.key.name.as_str());
        let near = names.max_by_key(|known| shared_ends(known, name))?;
        (shared_ends(near, name) * 2 > name.len()).then_some(near)
    }

    fn what_works(&self, name: &str) -> String {
        let mut keys = self.keys.iter().map(|described| &described.key);
        match keys.find(|key| key.name == name) {
            Some(key) => format!(" ({}: {})", key.value, key.help),
            None => String::new(),
        }
    }

    fn file_name(&self) -> String {
        let path = self.file.as_ref();
        path.map_or_else(String::new, |path| path.display().to_string())
    }
}

fn is_key_of<C: Settings>(name: &str) -> bool {
    C::keys().iter().any(|key| key.name == name)
}

fn try_leaf<C: DeserializeOwned>(leaf: &Leaf) -> Result<(), String> {
    let parsed = leaves::table_of([leaf]).try_into::<C>();
    parsed
        .map(|_| ())
        .map_err(|error| error.message().to_owned())
}

/// A flag's text may be meant as text, as a number or a switch, or as a list with commas.
fn leaf_of_flag<C: DeserializeOwned>(key: &str, text: &str) -> Result<Leaf, String> {
    let path: Vec<_> = key.split('.').map(str::to_owned).collect();
    let mut first_error = None;
    for value in meanings(text) {
        let leaf = Leaf {
            path: path.clone(),
            value,
        };
        match try_leaf::<C>(&leaf) {
            Ok(()) => return Ok(leaf),
            Err(why) => first_error = first_error.or(Some(why)),
        }
    }
    Err(first_error.unwrap_or_default())
}

fn meanings(text: &str) -> impl Iterator<Item = Value> {
    let number = text.parse().map(Value::Integer).ok();
    let switch = text.parse().map(Value::Boolean).ok();
    let items = text.split(',').filter(|item| !item.is_empty());
    let list = items.map(|item| Value::String(item.to_owned())).collect();
    [Some(Value::String(text.to_owned())), number, switch]
        .into_iter()
        .flatten()
        .chain([Value::Array(list)])
}

/// Octets that two words have in common at their beginnings and ends.
fn shared_ends(one: &str, other: &str) -> usize {
    let front = same(one.bytes(), other.bytes());
    let back = same(one.bytes().rev(), other.bytes().rev());
    (front + back).min(one.len()).min(other.len())
}

fn same(one: impl Iterator<Item = u8>, other: impl Iterator<Item = u8>) -> usize {
    one.zip(other).take_while(|(a, b)| a == b).count()
}
