//! Configuration: a TOML file, then flags; everything that is wrong is said at once.
//!
//! A tier declares its settings by [`settings`](crate::settings). A key of the file,
//! `limits.max-connections`, is the flag `--limits-max-connections` too, and the flag wins.

use std::ffi::OsString;

pub mod duration;
mod file;
mod flags;
mod leaves;
mod problem;
mod raw;
mod settings;
pub mod size;

pub(crate) use flags::describe;
pub use problem::{ConfigError, Problem};
pub(crate) use raw::Raw;
pub use settings::{Key, Section, Settings};

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

    use super::*;
    use proptest::prelude::*;

    crate::settings! {
        #[derive(PartialEq)]
        struct Sample {
            /// Where SMTP listens.
            smtp_listen: SocketAddr as "ADDRESS:PORT" = ([0, 0, 0, 0], 25).into(),
            /// Names.
            names: Vec<String> as "NAME,…",
            /// Certificate, as a `PEM` file;
            /// none: no TLS.
            tls: Option<String> as "FILE",
            limits: Limits as SECTION,
            unseen: u8 as HIDDEN = 7,
        }
    }

    crate::settings! {
        #[derive(PartialEq)]
        struct Limits {
            /// Connections.
            max_connections: usize as "N" = 100,
            /// Silence.
            idle: Duration as DURATION = Duration::from_secs(300),
            /// The largest message.
            message: u64 as SIZE = 50 << 20,
        }
    }

    impl Settings for Sample {
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
    fn a_key_is_a_field_and_its_doc_comment() {
        let keys = Sample::keys();
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        let expected = [
            "smtp-listen",
            "names",
            "tls",
            "limits.max-connections",
            "limits.idle",
            "limits.message",
        ];
        assert_eq!(names, expected);
        assert_eq!(keys[2].help, "Certificate, as a PEM file; none: no TLS");
        assert_eq!((keys[2].value, keys[4].value), ("FILE", "DURATION"));
        assert_eq!(Sample::default().unseen, 7);
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
