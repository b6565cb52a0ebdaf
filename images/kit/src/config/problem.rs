//! What is wrong with a configuration, in sentences that say where and what would work.

use std::fmt;

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key at fault, if it is one.
    pub(super) key: Option<&'static str>,
    pub(super) text: String,
}

impl Problem {
    /// A problem with the value of `key`, which the key table has; `why` says what would work.
    pub fn of(key: &'static str, why: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            text: why.into(),
        }
    }

    /// A problem that names its place itself.
    pub(super) fn anywhere(text: String) -> Self {
        Self { key: None, text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "`{key}` ({}): {}", flag(key), self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The flag that sets a key.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('.', "-"))
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Flags that do not exist or lack a value; also a call for help or the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// Every setting that cannot be used.
    #[error("{}", list(.0))]
    Settings(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    let mut text = match problems.len() {
        1 => "1 setting cannot be used:".to_owned(),
        count => format!("{count} settings cannot be used:"),
    };
    for problem in problems {
        text.push_str("\n  ");
        // A parser's message may have several lines.
        text.push_str(&problem.to_string().trim_end().replace('\n', "\n    "));
    }
    text
}
