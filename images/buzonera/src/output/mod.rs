//! What commands print: tables for people, JSON for scripts.
//!
//! `println!` panics when its reader is gone; everything here goes through a checked writer
//! instead, and a closed pipe ends the command quietly.

pub mod bar;
pub mod table;
pub mod text;

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, for people; may change.
    #[default]
    Table,
    /// One JSON value, for scripts; stable, see JSON.md.
    Json,
}

/// A result that can be printed both ways.
pub trait Show: Serialize {
    /// For people: whole lines.
    fn text(&self) -> String;
}

/// Where results go.
pub struct Output {
    format: Format,
    out: Box<dyn Write + Send>,
}

impl Output {
    /// Results to standard output.
    pub fn stdout(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()))
    }

    /// Results to any writer.
    pub fn new(format: Format, out: Box<dyn Write + Send>) -> Self {
        Self { format, out }
    }

    /// Prints the command's result.
    pub fn show(&mut self, result: &impl Show) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => result.text(),
            Format::Json => json(result)?,
        };
        self.write(&text)
    }

    /// Tells a person how far it is; scripts see only the result.
    pub fn progress(&mut self, line: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.write(&format!("{line}\n")),
            Format::Json => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }
}

fn json(result: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(result)
        .map_err(|error| Failure::Refused(format!("The result is no JSON: {error}.")))?;
    text.push('\n');
    Ok(text)
}

/// Says why a command failed, on standard error; if nobody listens there, nothing more can be done.
pub fn complain(failure: &Failure) {
    if *failure != Failure::OutputClosed {
        let _unheard = writeln!(io::stderr(), "buzonera: {failure}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Letter {
        home_shard: String,
    }

    impl Show for Letter {
        fn text(&self) -> String {
            format!("Home: {}\n", self.home_shard)
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_is_snake_case() {
        let letter = Letter {
            home_shard: "shard-1".into(),
        };
        let expected = "{\n  \"home_shard\": \"shard-1\"\n}\n";
        assert_eq!(json(&letter).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_left_does_not_panic() {
        let mut output = Output::new(Format::Table, Box::new(Closed));
        assert_eq!(output.progress("moving"), Err(Failure::OutputClosed));
    }

    #[test]
    fn scripts_see_no_progress() {
        let mut output = Output::new(Format::Json, Box::new(Closed));
        assert_eq!(output.progress("moving"), Ok(()));
    }
}
