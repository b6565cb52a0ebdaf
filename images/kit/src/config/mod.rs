//! Configuration: a TOML file, then flags; everything that is wrong is said at once.
//!
//! A tier describes its settings by one struct with serde's `default` and `deny_unknown_fields`,
//! and a table of its keys. A key of the file, `limits.max-connections`, is the flag
//! `--limits-max-connections` too, and the flag wins.

use std::ffi::OsString;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod duration;
mod file;
mod flags;
mod leaves;
mod problem;
mod raw;
pub mod size;

pub(crate) use flags::describe;
pub use problem::{ConfigError, Problem};
pub(crate) use raw::Raw;

/// The settings of a tier, or a part of them.
///
/// Derive both serde traits with `#[serde(default, deny_unknown_fields, rename_all =
/// "kebab-case")]` on every struct; durations are fields `#[serde(with =
/// "kit::config::duration")]`, sizes in bytes `#[serde(with = "kit::config::size")]`.
pub trait Settings: Serialize + DeserializeOwned + Default {
    /// Every key that may be set.
    const KEYS: &'static [Key];

    /// What no value shows by itself: settings that are missing or exclude each other.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In the file; dots for tables.
    pub name: &'static str,
    /// What to write, for example "ADDRESS:PORT".
    pub value: &'static str,
    /// One line, without a full stop; the default is added.
    pub help: &'static str,
}

impl Key {
    /// One setting: its name in the file, what to write, and what it is for.
    pub const fn new(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help }
    }
}

/// The program that is configured.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name, for example "buzonera-mx".
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Reads the file named by `--config`, if any, then the flags. `args` begins with the program's
/// name, as `std::env::args_os` does.
pub fn load<C: Settings>(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
) -> Result<C, ConfigError> {
    let mut raw = Raw::read(program, vec![describe::<C>()], args)?;
    let config = raw.take::<C>();
    raw.finish()?;
    // `finish` has returned every problem, and without one there is a value.
    config.ok_or_else(|| ConfigError::Settings(Vec::new()))
}

/// For a tier's tests: settings that the key table forgot, which nobody could set.
pub fn forgotten_keys<C: Settings>() -> Vec<String> {
    let known: Vec<_> = C::KEYS.iter().map(|key| key.name).collect();
    let leaves = leaves::of_defaults::<C>(&known);
    leaves
        .into_iter()
        .map(|leaf| leaf.name())
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}

/// Feeds any octets as a configuration file, a duration, a size, a place to
/// listen at and a host.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    duration::fuzz(text);
    size::fuzz(text);
    file::fuzz(text);
    crate::listener::fuzz(text);
    crate::rpc::fuzz_host(text);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Sample {
        smtp_listen: SocketAddr,
        names: Vec<String>,
        tls: Option<String>,
        limits: Limits,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Limits {
        max_connections: usize,
        #[serde(with = "duration")]
        idle: Duration,
        #[serde(with = "size")]
        message: u64,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                smtp_listen: "0.0.0.0:25".parse().unwrap(),
                names: Vec::new(),
                tls: None,
                limits: Limits::default(),
            }
        }
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                max_connections: 100,
                idle: Duration::from_secs(300),
                message: 50 << 20,
            }
        }
    }

    impl Settings for Sample {
        const KEYS: &'static [Key] = &[
            Key::new("smtp-listen", "ADDRESS:PORT", "Where SMTP listens"),
            Key::new("names", "NAME,…", "Names"),
            Key::new("tls", "FILE", "Certificate"),
            Key::new("limits.max-connections", "N", "Connections"),
            Key::new("limits.idle", "DURATION", "Silence"),
            Key::new("limits.message", "SIZE", "The largest message"),
        ];

        fn check(&self) -> Vec<Problem> {
            let mut problems = Vec::new();
            if self.limits.max_connections == 0 {
                problems.push(Problem::of("limits.max-connections", "must be 1 at least"));
            }
            problems
        }
    }

    const PROGRAM: Program = Program {
        name: "buzonera-sample",
        about: "A sample",
        version: "1",
    };

    fn load_with(file: Option<&str>, flags: &[&str]) -> Result<Sample, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.toml");
        let mut args = vec![OsString::from(PROGRAM.name)];
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            args.extend(["--config".into(), path.into_os_string()]);
        }
        args.extend(flags.iter().map(OsString::from));
        load(&PROGRAM, args)
    }

    const FILE: &str = r#"
        smtp-listen = "127.0.0.1:2525"
        names = ["a", "b"]
        [limits]
        idle = "20s"
        message = "10MiB"
        max-connections = 7
    "#;

    #[test]
    fn without_anything_the_defaults_hold() {
        assert_eq!(load_with(None, &[]).unwrap(), Sample::default());
    }

    #[test]
    fn the_file_is_read() {
        let sample = load_with(Some(FILE), &[]).unwrap();
        assert_eq!(sample.smtp_listen, "127.0.0.1:2525".parse().unwrap());
        assert_eq!(sample.names, ["a", "b"]);
        assert_eq!(sample.limits.max_connections, 7);
        assert_eq!(sample.limits.idle, Duration::from_secs(20));
        assert_eq!(sample.limits.message, 10 << 20);
    }

    #[test]
    fn flags_win() {
        let flags = [
            "--limits-max-connections=8",
            "--names=c,d",
            "--limits-idle",
            "250ms",
            "--tls",
            "1.pem",
        ];
        let sample = load_with(Some(FILE), &flags).unwrap();
        assert_eq!(sample.limits.max_connections, 8);
        assert_eq!(sample.names, ["c", "d"]);
        assert_eq!(sample.limits.idle, Duration::from_millis(250));
        assert_eq!(sample.limits.message, 10 << 20);
        assert_eq!(sample.tls.as_deref(), Some("1.pem"));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let file = r#"
            smtp-listen = "nowhere"
            smtp-lisen = "127.0.0.1:1"
            [limits]
            idle = 20
            max-connections = -1
        "#;
        let flags = ["--limits-message", "10MB", "--names", "a"];
        let error = load_with(Some(file), &flags).unwrap_err().to_string();
        for part in [
            "`smtp-listen`",
            "`smtp-lisen`",
            "did you mean `smtp-listen`",
            "`limits.idle`",
            "20s",
            "`limits.max-connections`",
            "--limits-message",
            "MiB",
            "sample.toml",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("names"), "{error}");
        assert!(error.starts_with("5 settings"), "{error}");
    }

    #[test]
    fn checks_over_several_settings_name_flag_and_key() {
        let flags = ["--limits-max-connections", "0"];
        let error = load_with(None, &flags).unwrap_err().to_string();
        assert!(error.contains("--limits-max-connections"), "{error}");
        assert!(error.contains("must be 1 at least"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_or_not_there_is_named() {
        let broken = load_with(Some("= ="), &[]).unwrap_err().to_string();
        assert!(broken.contains("sample.toml"), "{broken}");
        let missing = load_with(None, &["--config", "/nonexistent/x.toml"]);
        let missing = missing.unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/x.toml"), "{missing}");
    }

    #[test]
    fn help_names_every_flag_with_its_default() {
        let help = load_with(None, &["--help"]).unwrap_err().to_string();
        for part in ["--limits-max-connections", "5m", "50MiB", "0.0.0.0:25"] {
            assert!(help.contains(part), "{part}: {help}");
        }
    }

    #[test]
    fn forgotten_keys_are_found() {
        assert_eq!(forgotten_keys::<Sample>(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_values(text in "[0-9]{0,21}[a-zA-Z]{0,3}") {
            fuzz(text.as_bytes());
        }

        #[test]
        fn near_files(text in "([a-z]{1,3} = ([0-9]|\"[a-z]\"|\\[\\])\n|\\[[a-z]\\]\n){0,6}") {
            fuzz(text.as_bytes());
        }
    }
}
