//! What a directory replica is told.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kit::config::{Problem, Settings};
use kit::listener::ListenAt;
use kit::tls::IdentityFiles;
use serde::{Deserialize, Serialize};

use crate::admin::AdminConfig;
use crate::authenticate::AuthenticateConfig;
use crate::claim::WhenEmpty;
use crate::contact;
use crate::election::ElectionConfig;
use crate::moves::MovesConfig;
use crate::registry::RegistryConfig;

kit::settings! {
    /// A replica's configuration.
    pub struct Config {
        /// Identity folder: ca.pem, cert.pem and key.pem.
        pub identity: PathBuf as "DIR",
        /// Use NAME.cert.pem and NAME.key.pem of that folder.
        pub instance: Option<String> as "NAME",
        /// Where everybody calls.
        pub listen: ListenAt as "ADDRESS:PORT|*:PORT" = ListenAt::Everywhere(PORT),
        /// Where the directory is kept.
        pub store: StoreAt as "embedded:DIR|etcd:URL,URL",
        /// For etcd over https: folder with ca.pem, cert.pem and key.pem.
        pub store_identity: Option<PathBuf> as "DIR",
        /// What to do about an empty store; not for the file: as long as nobody says that the
        /// cluster is new, it may be a lost one, under which every mailbox would seem to be none.
        pub when_empty: WhenEmpty as HIDDEN,
        /// How long a batch of lookups may take.
        pub resolve_budget: Duration as DURATION = RESOLVE_BUDGET,
        /// Without word from the store for so long, a replica answers no lookups.
        pub contact_limit: Duration as DURATION = contact::LIMIT,
        /// Passwords.
        pub authenticate: AuthenticateConfig as SECTION,
        /// Administrators' requests.
        pub admin: AdminConfig as SECTION,
        /// Shards' leases; not for the file, because shards count on them.
        pub registry: RegistryConfig as HIDDEN,
        /// Which replica drives moves and sweeps.
        pub election: ElectionConfig as HIDDEN,
        /// Moves.
        pub moves: MovesConfig as HIDDEN,
    }
}

/// Callers ask another replica after 250 ms.
const RESOLVE_BUDGET: Duration = Duration::from_millis(200);

/// Beside the ports that mail clients know.
const PORT: u16 = 7400;

impl Config {
    /// The defaults, for an existing cluster.
    pub fn new(identity: PathBuf, listen: impl Into<ListenAt>, store: StoreAt) -> Self {
        Self {
            identity,
            listen: listen.into(),
            store,
            ..Self::default()
        }
    }

    /// Where its identity lies.
    pub fn identity_files(&self) -> IdentityFiles {
        IdentityFiles::new(&self.identity, self.instance.as_deref())
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.identity.as_os_str().is_empty() {
            problems.push(Problem::of(
                "identity",
                "write the folder of this replica's certificate",
            ));
        }
        if self.store == StoreAt::default() {
            let why = "write embedded:DIR or etcd:http://HOST:PORT";
            problems.push(Problem::of("store", why));
        }
        if let Err(error) = self.authenticate.cost.check() {
            problems.push(Problem::of("authenticate.cost.memory", error.to_string()));
        }
        if self.contact_limit.is_zero() {
            problems.push(Problem::of("contact-limit", "write at least 1s"));
        }
        if self.authenticate.cores == 0 {
            problems.push(Problem::of("authenticate.cores", "write at least 1"));
        }
        problems
    }
}

/// Where the directory is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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

impl Default for StoreAt {
    /// Nowhere yet.
    fn default() -> Self {
        Self::Etcd(Vec::new())
    }
}

impl From<StoreAt> for String {
    fn from(store: StoreAt) -> Self {
        store.to_string()
    }
}

impl TryFrom<String> for StoreAt {
    type Error = StoreAtError;

    fn try_from(text: String) -> Result<Self, StoreAtError> {
        text.parse()
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
    fn what_is_missing_is_said_at_once() {
        let problems: Vec<_> = Config::default()
            .check()
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn stores() {
        let embedded: StoreAt = "embedded:/var/lib/buzonera".parse().unwrap();
        assert_eq!(embedded, StoreAt::Embedded("/var/lib/buzonera".into()));
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
