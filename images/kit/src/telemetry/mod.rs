//! Logs, by `tracing`, to standard error: text for people or JSON for collectors.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

mod outcome;

pub use outcome::Outcome;

/// The environment variable with filter directives, for example `debug` or `buzonera_mx=trace`.
pub const FILTER: &str = "BUZONERA_LOG";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter in the environment is none.
    #[error("{FILTER}={text:?}: {source}; write for example {FILTER}=info,buzonera_mx=debug")]
    Filter {
        /// What stood there.
        text: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// They are set up already.
    #[error("logs are set up already")]
    Twice,
}

/// What is logged unless [`FILTER`] says otherwise. Libraries log their own business at INFO, with
/// paths of their sources; only their warnings are ours.
const DEFAULT: &str = "info,fjall=warn,lsm_tree=warn,h2=warn,hyper=warn,hyper_util=warn,\
                       rustls=warn,tonic=warn,tower=warn";

/// Sets up logs for the whole process, filtered by [`FILTER`] over our default.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    init_with(format, "")
}

/// As [`init`], with directives between our default and [`FILTER`], for example "warn".
pub fn init_with(format: LogFormat, directives: &str) -> Result<(), TelemetryError> {
    let wanted = std::env::var(FILTER).unwrap_or_default();
    let filter = filter(&[DEFAULT, directives, &wanted]).map_err(|source| {
        let text = wanted.clone();
        TelemetryError::Filter { text, source }
    })?;
    let ansi = std::io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, ansi, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)
}

/// Later directives go before earlier ones.
fn filter(parts: &[&str]) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let parts: Vec<_> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect();
    EnvFilter::builder().parse(parts.join(","))
}

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(format: LogFormat, filter: EnvFilter, ansi: bool, writer: W) -> BoxedSubscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Milliseconds)
        .with_writer(writer);
    match format {
        LogFormat::Text => Box::new(builder.with_ansi(ansi).compact().finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

/// UTC to the millisecond, RFC 3339.
struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(super) fn logged(format: LogFormat, user: &str, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let filter = filter(&[DEFAULT, user]).unwrap();
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        captured.text()
    }

    #[test]
    fn noise_is_filtered_and_the_user_may_have_it_back() {
        let log = || {
            tracing::info!("ours");
            tracing::debug!("ours in detail");
            tracing::info!(target: "fjall", "theirs");
        };
        let text = logged(LogFormat::Text, "", log);
        assert!(text.contains("ours") && !text.contains("detail"), "{text}");
        assert!(!text.contains("theirs"), "{text}");
        let text = logged(LogFormat::Text, "debug,fjall=info", log);
        assert!(text.contains("detail") && text.contains("theirs"), "{text}");
        assert!(filter(&["nonsense=maybe"]).is_err());
    }

    #[test]
    fn text_is_one_line_that_begins_with_the_time() {
        let text = logged(LogFormat::Text, "", || tracing::warn!(port = 25, "busy"));
        assert_eq!(text.lines().count(), 1, "{text}");
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00.000Z".len(), "{text}");
        assert!(
            rest.contains("WARN") && rest.contains("busy port=25"),
            "{text}"
        );
    }
}
