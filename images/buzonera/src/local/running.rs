//! A small file by which `buzonera --data DIR` finds the process that runs there.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::local::layout::Layout;
use crate::local::roster;

/// The largest file that is read.
const MAX_FILE: u64 = 64 * 1024;

/// Where the tiers that take commands listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The directory's RPC listener.
    pub directory: SocketAddr,
    /// MX's RPC listener, for its spool.
    pub mx: SocketAddr,
    /// This machine's name, as mail clients are told.
    pub hostname: String,
}

impl Running {
    /// Writes the file; it stays after the end, and a call then says that nobody answers.
    pub fn write(&self, layout: &Layout) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::Refused(format!("{error}.")))?;
        Ok(roster::replace(
            &layout.running(),
            &format!("{text}\n"),
            0o600,
        )?)
    }

    /// Reads the file.
    pub fn read(layout: &Layout) -> Result<Self, Failure> {
        let path = layout.running();
        let shown = path.display();
        let file = File::open(&path).map_err(|error| {
            Failure::Temporary(format!(
                "No cluster is known here ({shown}: {error}). Start one with `buzonera local`, or \
                 name one with --data DIR or --server HOST:PORT --identity DIR."
            ))
        })?;
        let mut text = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut text)?;
        serde_json::from_slice(&text)
            .map_err(|error| Failure::Refused(format!("{shown} is damaged: {error}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let running = Running {
            directory: "127.0.0.1:7400".parse().unwrap(),
            mx: "127.0.0.1:7401".parse().unwrap(),
            hostname: "localhost".to_owned(),
        };
        assert_eq!(Running::read(&layout).unwrap_err().exit_code(), 4);
        running.write(&layout).unwrap();
        assert_eq!(Running::read(&layout), Ok(running));
        std::fs::write(layout.running(), "{").unwrap();
        assert_eq!(Running::read(&layout).unwrap_err().exit_code(), 1);
    }
}
