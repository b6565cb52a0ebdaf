//! `buzonera-storage`: one shard. `buzonera-storage rebuild-index` builds its index from its heap.

use std::io::Write;
use std::process::ExitCode;

use buzonera_storage::{RebuildConfig, rebuild_index};
use kit::config::{ConfigError, Program};

const REBUILD: Program = Program {
    name: "buzonera-storage rebuild-index",
    about: "Throws a stopped shard's index away and builds it from the heap",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let verb = std::env::args_os().nth(1);
    match verb.is_some_and(|verb| verb == "rebuild-index") {
        true => rebuild(),
        false => buzonera_storage::main(),
    }
}

/// Exit codes as of every other program here: 0 done, 1 failed, 2 wrong usage.
fn rebuild() -> ExitCode {
    let config: RebuildConfig = match kit::config::load(&REBUILD, std::env::args_os().skip(1)) {
        Ok(config) => config,
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => return said(&error, 2),
    };
    match rebuild_index(&config.data) {
        Ok(records) => said(&format!("{records} records indexed"), 0),
        Err(error) => said(&error, 1),
    }
}

fn said(text: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Nothing is left to tell when even this cannot be printed.
    let _ = writeln!(std::io::stderr(), "{}: {text}", REBUILD.name);
    ExitCode::from(code)
}
