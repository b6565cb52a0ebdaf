//! The flags of `buzonera local`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use kit::telemetry::{self, TelemetryError};

/// The name of a machine that was not told its name.
pub const LOCALHOST: &str = "localhost";

/// Where `buzonera local` listens, and how many shards it has. Below 1024 a port needs privileges,
/// so each default is the known port's with a thousand or more added.
#[derive(Debug, Clone, Args)]
pub struct LocalArgs {
    /// Shards to run; may grow from start to start, never shrink. Default: 2, or as before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,
    /// Address of the public ports: SMTP, POP3, POP3S. The others stay on 127.0.0.1.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// This machine's name: in the SMTP greeting, in Received, in its own certificate.
    #[arg(long, value_name = "NAME", default_value = LOCALHOST)]
    pub hostname: String,
    /// Folder of certificates for mail clients: cert.pem with key.pem, and NAME.cert.pem with
    /// NAME.key.pem for other host names; default: one from buzonera's own CA.
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// Port where mail comes in.
    #[arg(long, value_name = "PORT", default_value_t = 2525)]
    pub smtp: u16,
    /// Port where another mail server on this machine hands mail in.
    #[arg(long, value_name = "PORT", default_value_t = 2424)]
    pub lmtp: u16,
    /// Port where mail is read, after STLS.
    #[arg(long, value_name = "PORT", default_value_t = 1110)]
    pub pop3: u16,
    /// Port where mail is read over TLS.
    #[arg(long, value_name = "PORT", default_value_t = 1995)]
    pub pop3s: u16,
    /// Port of the directory, for the `buzonera` command.
    #[arg(long, value_name = "PORT", default_value_t = 7400)]
    pub directory: u16,
    /// Port of /livez, /readyz and /metrics.
    #[arg(long, value_name = "PORT", default_value_t = 9400)]
    pub admin: u16,
    /// Let this shard start with another volume than it served last, or a damaged one, as
    /// `shard replace-volume` does: mail that is not on it is given up.
    #[arg(long, value_name = "SHARD")]
    pub replace_volume: Option<String>,
    /// Write a log to standard error, as text or JSON; default: warnings only, as text.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log: Option<LogFormat>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// One port that people use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The flag that sets it.
    pub flag: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The words of a command line without what is asked for once only.
pub fn lasting(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const ONCE: &str = "--replace-volume";
    let mut is_value = false;
    let lasts = |word: &OsString| {
        let is_flag = word == ONCE;
        let was_value = std::mem::replace(&mut is_value, is_flag);
        let joined = word.to_str().and_then(|word| word.strip_prefix(ONCE));
        !is_flag && !was_value && !joined.is_some_and(|rest| rest.starts_with('='))
    };
    words.filter(lasts).collect()
}

impl LocalArgs {
    /// Sets the log up.
    pub fn start_log(&self) -> Result<(), TelemetryError> {
        match self.log {
            None => telemetry::init_with(telemetry::LogFormat::Text, "warn"),
            Some(LogFormat::Text) => telemetry::init(telemetry::LogFormat::Text),
            Some(LogFormat::Json) => telemetry::init(telemetry::LogFormat::Json),
        }
    }

    /// Every port that people use, in the order of the screen.
    pub fn ports(&self) -> [Port; 6] {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let port = |flag, ip, port| Port {
            flag,
            address: SocketAddr::new(ip, port),
        };
        [
            port("--smtp", self.listen, self.smtp),
            port("--lmtp", loopback, self.lmtp),
            port("--pop3", self.listen, self.pop3),
            port("--pop3s", self.listen, self.pop3s),
            port("--directory", loopback, self.directory),
            port("--admin", loopback, self.admin),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_replaced_once() {
        let words = "local --replace-volume shard-1 --smtp 25 --replace-volume=shard-2 --log text";
        let words = words.split(' ').map(OsString::from);
        assert_eq!(lasting(words), ["local", "--smtp", "25", "--log", "text"]);
    }
}
