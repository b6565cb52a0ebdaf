//! What an MX process is told, and the bounds it keeps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kit::rpc::Replica;

/// Everything that `run` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name in the greeting, in Received and in certificates.
    pub hostname: String,
    /// The identity folder (ca.pem, cert.pem, key.pem) of tier mx.
    pub identity: PathBuf,
    /// The directory's replicas, at least one.
    pub directory: Vec<Replica>,
    /// The volume: spool, and bodies too large for memory.
    pub data: PathBuf,
    /// Where SMTP listens.
    pub smtp: SocketAddr,
    /// Where LMTP listens, if at all.
    pub lmtp: Option<SocketAddr>,
    /// LMTP over TLS from the first octet, for clients with a certificate of the cluster's CA.
    /// Without it LMTP stays on loopback.
    pub lmtp_client_certificates: bool,
    /// The certificate for STARTTLS; none: it is not offered.
    pub tls: Option<TlsFiles>,
    /// Where /livez, /readyz and /metrics are; none: nowhere.
    pub admin: Option<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// A certificate chain and its key, in PEM form.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Bounds; each default says why.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of a message: 50 MiB, more than the large providers take.
    pub max_message_size: u64,
    /// Recipients of a transaction: 100, which RFC 5321 section 4.5.3.1.8 asks for.
    pub max_recipients: usize,
    /// Unknown recipients of a session: 20 are a dictionary attack, not a typing error.
    pub max_unknown: u32,
    /// Refused commands of a session: a confused client stops long before 20.
    pub max_errors: u32,
    /// Received fields that are taken for a loop: RFC 5321 section 6.3 asks for 100 at least.
    pub max_received: u32,
    /// Connections of a listener: some 50 KB each in a transaction, 100 MB for a full house.
    pub max_connections: usize,
    /// Connections of a listener from one client address.
    pub max_per_address: usize,
    /// Deliver calls at once: more only queue up at the shards.
    pub max_deliveries: usize,
    /// How often a copy follows an account that moved; a move in between is one, a race two.
    pub max_follows: usize,
    /// Octets of all bodies in memory: 256 MiB.
    pub body_memory: u64,
    /// Octets of one body in memory; the rest goes to the volume. 99 of 100 messages fit in 1 MiB.
    pub body_memory_each: usize,
    /// Octets of all bodies on the volume: 4 GiB.
    pub body_disk: u64,
    /// Recipients remembered for when no directory replica answers: some 300 octets each.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 50 << 20,
            max_recipients: 100,
            max_unknown: 20,
            max_errors: 20,
            max_received: 100,
            max_connections: 2000,
            max_per_address: 100,
            max_deliveries: 256,
            max_follows: 3,
            body_memory: 256 << 20,
            body_memory_each: 1 << 20,
            body_disk: 4 << 30,
            remembered: 100_000,
        }
    }
}

/// How long things may take. None of the client's is shorter than RFC 5321 section 4.5.3.2 asks.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Silence while a command is awaited (section 4.5.3.2.7: 5 minutes).
    pub command: Duration,
    /// Silence within a body (section 4.5.3.2.5: 3 minutes).
    pub data: Duration,
    /// A client that does not take our replies.
    pub write: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// After our last line, until a client that still sends is cut off.
    pub linger: Duration,
    /// After the final dot, until what is not yet stored goes to the spool. Together with the
    /// spool's sync the answer comes within 60 s.
    pub spool_after: Duration,
    /// After the final dot, until LMTP's answer, which never spools.
    pub lmtp_answer: Duration,
    /// Of a whole session; a client that drips octets holds a place no longer than this.
    pub session: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(300),
            data: Duration::from_secs(300),
            write: Duration::from_secs(300),
            handshake: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            spool_after: Duration::from_secs(30),
            lmtp_answer: Duration::from_secs(50),
            session: Duration::from_secs(4 * 3600),
        }
    }
}

/// A configuration that cannot work, with everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct BadConfig(pub Vec<String>);

impl Config {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), BadConfig> {
        let mut wrong = Vec::new();
        if self.hostname.parse::<wire::address::Domain>().is_err() {
            wrong.push(format!("hostname {:?} is not a domain", self.hostname));
        }
        if self.directory.is_empty() {
            wrong.push("directory: name at least one replica".to_owned());
        }
        if let Some(lmtp) = self.lmtp.filter(|lmtp| !lmtp.ip().is_loopback())
            && !self.lmtp_client_certificates
        {
            wrong.push(format!(
                "lmtp {lmtp} is not a loopback address: set lmtp_client_certificates too"
            ));
        }
        if self.limits.max_recipients < 100 {
            wrong
                .push("limits.max_recipients is below 100 (RFC 5321 section 4.5.3.1.8)".to_owned());
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(BadConfig(wrong))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            hostname: "mx.example".into(),
            identity: PathBuf::new(),
            directory: vec![Replica {
                instance: "directory-0".into(),
                endpoint: "[::1]:1".into(),
            }],
            data: PathBuf::new(),
            smtp: "0.0.0.0:25".parse().unwrap(),
            lmtp: Some("127.0.0.1:24".parse().unwrap()),
            lmtp_client_certificates: false,
            tls: None,
            admin: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        config().validate().unwrap();
        let limits = Limits {
            max_recipients: 99,
            ..Limits::default()
        };
        let bad = Config {
            hostname: "a b".into(),
            directory: Vec::new(),
            lmtp: Some("192.0.2.1:24".parse().unwrap()),
            limits,
            ..config()
        };
        assert_eq!(bad.validate().unwrap_err().0.len(), 4);
        let guarded = Config {
            lmtp: Some("192.0.2.1:24".parse().unwrap()),
            lmtp_client_certificates: true,
            ..config()
        };
        guarded.validate().unwrap();
    }

    #[test]
    fn no_timeout_is_shorter_than_the_rfc_asks() {
        let timeouts = Timeouts::default();
        assert!(timeouts.command >= Duration::from_secs(300));
        assert!(timeouts.data >= Duration::from_secs(180));
        assert!(timeouts.spool_after < Duration::from_secs(60));
        assert!(timeouts.lmtp_answer < Duration::from_secs(60));
    }
}
