//! The command line of a tier, made from its key table.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command, value_parser};
use toml::Value;

use super::{Key, Program, Settings, leaves};

/// Name of the flag for the file.
const CONFIG: &str = "config";

/// One key with its default as text.
pub(crate) struct Described {
    pub(super) key: Key,
    pub(super) default: Option<String>,
}

/// The keys of a part of the configuration.
pub(crate) fn describe<C: Settings>() -> Vec<Described> {
    let keys = C::keys();
    let known: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    let defaults = leaves::of_defaults::<C>(&known);
    let default_of = |key: &Key| {
        let leaf = defaults.iter().find(|leaf| leaf.name() == key.name)?;
        text_of(&leaf.value)
    };
    let described = |key| Described {
        default: default_of(&key),
        key,
    };
    keys.iter().cloned().map(described).collect()
}

/// `None` for what has no value worth showing.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.is_empty() => None,
        other => Some(other.to_string()),
    }
}

/// The flags that were given, and the file.
pub(super) struct Given {
    pub(super) file: Option<PathBuf>,
    /// Key names and texts, in the order of the table.
    pub(super) flags: Vec<(String, String)>,
}

/// Reads the command line; help, version and unknown flags are clap's errors.
pub(super) fn read(
    program: &Program,
    keys: &[Described],
    args: impl IntoIterator<Item = OsString>,
) -> Result<Given, clap::Error> {
    let matches = command(program, keys).try_get_matches_from(args)?;
    let given = |name: &String| {
        let text = matches.get_one::<String>(name)?;
        Some((name.clone(), text.clone()))
    };
    let names = keys.iter().map(|described| &described.key.name);
    Ok(Given {
        file: matches.get_one::<PathBuf>(CONFIG).cloned(),
        flags: names.filter_map(given).collect(),
    })
}

fn command(program: &Program, keys: &[Described]) -> Command {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML file with any of the settings below; flags go before it");
    Command::new(program.name)
        .about(program.about)
        .version(program.version)
        .arg(file)
        .args(keys.iter().map(arg))
}

fn arg(described: &Described) -> Arg {
    let key = &described.key;
    let help = match &described.default {
        Some(default) => format!("{} [default: {default}]", key.help),
        None => key.help.clone(),
    };
    Arg::new(key.name.clone())
        .long(key.name.replace('.', "-"))
        .value_name(key.value)
        .help(help)
}
