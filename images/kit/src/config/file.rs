//! The configuration file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Table;

use super::leaves;
use super::problem::{ConfigError, Problem};

/// A hundred settings are 5 KB; a list of replicas some more.
const MAX_FILE: u64 = 1 << 20;

/// Reads a TOML file of at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<Table, ConfigError> {
    let failed = |why: String| {
        let problem = Problem::anywhere(format!("{}: {why}", path.display()));
        ConfigError::Settings(vec![problem])
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(format!("larger than {MAX_FILE} bytes")));
    }
    text.parse()
        .map_err(|error: toml::de::Error| failed(error.to_string()))
}

/// Taking a file apart and putting it together again loses nothing but empty tables.
pub(super) fn fuzz(text: &str) {
    let Ok(table) = text.parse::<Table>() else {
        return;
    };
    let taken = leaves::of(table, &[]);
    let again = leaves::of(leaves::table_of(&taken), &[]);
    assert_eq!(taken.len(), again.len());
}
