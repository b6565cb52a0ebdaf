//! What a directory replica is told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::admin::AdminConfig;
use crate::authenticate::AuthenticateConfig;
use crate::moves::MovesConfig;

/// A replica's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Identity folder: `ca.pem`, `cert.pem`, `key.pem`.
    pub identity: PathBuf,
    /// Where everybody calls.
    pub listen: SocketAddr,
    /// Where the directory is kept.
    pub store: StoreAt,
    /// Make a new cluster of an empty store. Without it an empty store is refused: under an
    /// existing cluster it would be a lost one, and every mailbox would seem to be none.
    pub bootstrap: bool,
    /// How long a batch of lookups may take.
    pub resolve_budget: Duration,
    /// Passwords.
    pub authenticate: AuthenticateConfig,
    /// Administrators' requests.
    pub admin: AdminConfig,
    /// Moves.
    pub moves: MovesConfig,
}

/// Callers ask another replica after 250 ms.
const RESOLVE_BUDGET: Duration = Duration::from_millis(200);

impl Config {
    /// The defaults, for an existing cluster.
    pub fn new(identity: PathBuf, listen: SocketAddr, store: StoreAt) -> Self {
        Self {
            identity,
            listen,
            store,
            bootstrap: false,
            resolve_budget: RESOLVE_BUDGET,
            authenticate: AuthenticateConfig::default(),
            admin: AdminConfig::default(),
            moves: MovesConfig::default(),
        }
    }
}

/// Where the directory is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAt {
    /// In this folder, by this process alone: `embedded:DIR`.
    Embedded(PathBuf),
    /// In etcd at these endpoints: `etcd:http://HOST:PORT,…`.
    Etcd(Vec<String>),
}

/// Text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no store: write embedded:DIR or etcd:http://HOST:PORT[,http://HOST:PORT…]")]
pub struct StoreAtError(String);

/// Longest text that is read.
const MAX_TEXT: usize = 4096;

impl FromStr for StoreAt {
    type Err = StoreAtError;

    fn from_str(text: &str) -> Result<Self, StoreAtError> {
        let wrong = || StoreAtError(text.chars().take(200).collect());
        let (kind, place) = text.split_once(':').ok_or_else(wrong)?;
        if place.is_empty() || text.len() > MAX_TEXT {
            return Err(wrong());
        }
        match kind {
            "embedded" => Ok(Self::Embedded(place.into())),
            "etcd" => {
                let endpoints: Vec<_> = place.split(',').map(str::to_owned).collect();
                let is_url = |text: &String| {
                    ["http://", "https://"].iter().any(|scheme| {
                        text.strip_prefix(scheme)
                            .is_some_and(|rest| !rest.is_empty())
                    })
                };
                if !endpoints.iter().all(is_url) {
                    return Err(wrong());
                }
                Ok(Self::Etcd(endpoints))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for StoreAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(folder) => write!(f, "embedded:{}", folder.display()),
            Self::Etcd(endpoints) => write!(f, "etcd:{}", endpoints.join(",")),
        }
    }
}

/// Feeds any octets to the parser; what it accepts must print as it was.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(store) = text.parse::<StoreAt>() {
        assert_eq!(store.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stores() {
        let embedded: StoreAt = "embedded:/var/lib/palomar".parse().unwrap();
        assert_eq!(embedded, StoreAt::Embedded("/var/lib/palomar".into()));
        let etcd: StoreAt = "etcd:http://a:2379,https://b:2379".parse().unwrap();
        assert!(matches!(etcd, StoreAt::Etcd(endpoints) if endpoints.len() == 2));
        for bad in [
            "",
            "embedded:",
            "etcd:",
            "etcd:a:2379",
            "etcd:http://",
            "redis:x",
            "/var",
        ] {
            assert!(bad.parse::<StoreAt>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "(embedded|etcd)?:?(http://)?[a-z0-9:,/]{0,40}") {
            fuzz(text.as_bytes());
        }
    }
}
