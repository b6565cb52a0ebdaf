//! The outcome lines that an operator would see, of all tests of this process.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut held = self.0.lock();
        held.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static CAPTURED: OnceLock<Captured> = OnceLock::new();

/// Begins to keep outcome lines; what was logged before is lost.
pub(crate) fn capture() {
    CAPTURED.get_or_init(|| {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(EnvFilter::new("buzonera::outcome=info"))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        captured
    });
}

/// The lines of one recipient; tests use addresses of their own.
pub(crate) fn outcomes(recipient: &str) -> Vec<Value> {
    let captured = CAPTURED.get().expect("capture() first");
    let held = captured.0.lock();
    let lines = held.split(|octet| *octet == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    lines
        .filter(|line| line["recipient"] == recipient)
        .collect()
}
