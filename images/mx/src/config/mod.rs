//! What an MX process is told, and the bounds it keeps.

mod limits;
mod timeouts;

use std::path::PathBuf;
use std::time::Duration;

use kit::config::{Problem, Settings};
use kit::listener::{ListenAt, Network};
use kit::rpc::directory::BadReplica;
use kit::rpc::{Replica, ReplicaList};
use kit::tls::IdentityFiles;

use crate::spool;

pub use limits::Limits;
pub use timeouts::Timeouts;

kit::settings! {
    /// Everything that `run` needs.
    pub struct Config {
        /// The name in the greeting and in Received.
        pub hostname: String as "NAME",
        /// Folder of its identity, of tier mx: ca.pem, cert.pem and key.pem.
        pub identity: PathBuf as "DIR",
        /// Use NAME.cert.pem and NAME.key.pem of that folder.
        pub instance: Option<String> as "NAME",
        /// The directory's replicas.
        pub directory: Vec<Replica> as "INSTANCE=HOST:PORT,…",
        /// Instead: a file with one INSTANCE=HOST:PORT a line, read again when it changes.
        pub directory_file: Option<PathBuf> as "FILE",
        /// The volume: spool, and bodies too large for memory.
        pub data: PathBuf as "DIR",
        /// Where SMTP listens.
        pub smtp_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(25),
        /// Where SMTP listens behind a balancer that begins each connection with a PROXY header
        /// (version 2), if at all.
        pub smtp_proxied_listen: Option<ListenAt> as "ADDRESS:PORT|*:PORT",
        /// The networks of such balancers; whoever else connects there is dropped.
        pub proxy_trusted: Vec<Network> as "ADDRESS/BITS,…",
        /// Where LMTP listens, if at all.
        pub lmtp_listen: Option<ListenAt> as "ADDRESS:PORT|*:PORT",
        /// The CA of those who may hand mail in by LMTP, which then is TLS from the first octet with
        /// the certificates of `tls`; while there is no such file nobody may. Without this setting
        /// LMTP stays on loopback.
        pub lmtp_client_ca: Option<PathBuf> as "FILE",
        /// Where administrators reach the spool, by mutual TLS.
        pub rpc_listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(RPC_PORT),
        /// Folder of certificates for STARTTLS: cert.pem with key.pem, and NAME.cert.pem with
        /// NAME.key.pem for other host names; none: it is not offered.
        pub tls: Option<PathBuf> as "DIR",
        /// Bounds.
        pub limits: Limits as SECTION,
        /// How long things may take.
        pub timeouts: Timeouts as SECTION,
        /// Of the spool.
        pub spool: spool::Config as SECTION,
    }
}

impl Config {
    /// LMTP trusts its clients, so that only certificates let them in from elsewhere. The address
    /// that breaks this rule.
    pub(crate) fn exposed_lmtp(&self) -> Option<ListenAt> {
        let elsewhere = self.lmtp_listen.filter(|lmtp| !lmtp.is_loopback());
        elsewhere.filter(|_| self.lmtp_client_ca.is_none() || self.tls.is_none())
    }

    /// Where its identity lies.
    pub fn identity_files(&self) -> IdentityFiles {
        IdentityFiles::new(&self.identity, self.instance.as_deref())
    }

    /// Where the list of directory replicas is.
    pub fn replicas(&self) -> Result<ReplicaList, BadReplica> {
        ReplicaList::of_settings(&self.directory, self.directory_file.as_ref())
    }
}

/// Beside the directory's 7400.
const RPC_PORT: u16 = 7425;

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let empty = |path: &PathBuf| path.as_os_str().is_empty();
        let hostname = self.hostname.parse::<wire::address::Domain>();
        let checks = [
            (
                "hostname",
                hostname.is_err(),
                "name a domain, for example mx.example.org",
            ),
            ("identity", empty(&self.identity), "name the folder"),
            ("data", empty(&self.data), "name the folder"),
            (
                "directory",
                self.replicas().is_err(),
                "name one replica at least, here or in directory-file",
            ),
            (
                "lmtp-listen",
                self.exposed_lmtp().is_some(),
                "stay on loopback, or set lmtp-client-ca and tls too",
            ),
            (
                "lmtp-client-ca",
                self.lmtp_client_ca.is_some() && self.tls.is_none(),
                "goes with tls",
            ),
            (
                "proxy-trusted",
                self.smtp_proxied_listen.is_some() == self.proxy_trusted.is_empty(),
                "goes with smtp-proxied-listen",
            ),
        ];
        let parts = [
            self.limits.checks(),
            self.spool.checks(),
            self.timeouts.checks(),
        ];
        let all = checks.into_iter().chain(parts.into_iter().flatten());
        let wrong = all.filter(|(_, is_wrong, _)| *is_wrong);
        wrong.map(|(key, _, why)| Problem::of(key, why)).collect()
    }
}

/// A key, whether its value is wrong, and what would be right.
pub(crate) type Check = (&'static str, bool, &'static str);

/// After the final dot every client has its answer within this.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use kit::config::{Program, load};

    use super::*;

    const PROGRAM: Program = Program {
        name: "buzonera-mx",
        about: "",
        version: "0",
    };

    fn load_with(flags: &[&str]) -> Result<Config, kit::config::ConfigError> {
        let args = [PROGRAM.name].iter().chain(flags).map(OsString::from);
        load(&PROGRAM, args)
    }

    const NEEDED: [&str; 4] = [
        "--hostname=mx.example",
        "--identity=i",
        "--data=d",
        "--directory=directory-0=[::1]:1",
    ];

    #[test]
    fn what_is_needed_suffices() {
        let config = load_with(&NEEDED).unwrap();
        assert_eq!(config.lmtp_listen, None);
        assert_eq!(config.limits.max_message_size, 50 << 20);
        assert_eq!(config.limits.max_unknown, 20);
        assert_eq!(config.limits.max_recipients, 100);
        assert_eq!(config.limits.max_received, 100);
    }

    #[test]
    fn lmtp_stays_on_loopback_without_certificates() {
        let with = |more: &[&str]| load_with(&[&NEEDED[..], more].concat());
        with(&["--lmtp-listen=127.0.0.1:24"]).unwrap();
        let error = with(&["--lmtp-listen=192.0.2.1:24"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("--lmtp-listen"), "{error}");
        let elsewhere = ["--lmtp-listen=192.0.2.1:24", "--lmtp-client-ca=ca.pem"];
        let error = with(&elsewhere).unwrap_err().to_string();
        assert!(error.contains("--lmtp-client-ca"), "{error}");
        with(&[&elsewhere[..], &["--tls=t"]].concat()).unwrap();
    }

    /// RFC 5321 section 4.5.3.2; and our answer comes within a minute of the final dot.
    #[test]
    fn no_timeout_is_shorter_than_clients_may_need() {
        for (key, least, below) in [
            ("timeouts-command", "300s", "299s"),
            ("timeouts-data", "180s", "179s"),
            ("timeouts-spool-after", "59s", "60s"),
            ("timeouts-lmtp-answer", "59s", "60s"),
        ] {
            let with = |value| load_with(&[&NEEDED[..], &[&format!("--{key}={value}")]].concat());
            with(least).unwrap();
            let error = with(below).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let timeouts = Timeouts::default();
        assert!(
            timeouts.command >= Duration::from_secs(300)
                && timeouts.data >= Duration::from_secs(180)
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let error = load_with(&["--hostname=a b", "--limits-max-recipients=99"]).unwrap_err();
        let error = error.to_string();
        for part in [
            "--hostname",
            "--identity",
            "--data",
            "--directory",
            "--limits-max-recipients",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
