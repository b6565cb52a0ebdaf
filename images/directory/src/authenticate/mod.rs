//! Checks passwords: an account that is not there costs the same time as a wrong password, and
//! neither is denied without a proof that this replica is current.

mod cache;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use wire::answer::NobodyKnows;
use wire::ids::AccountId;
use wire::rpc::authenticate_reply::Result as Outcome;
use wire::rpc::{AccountState, Busy, Denied, Granted};
use wire::secret::Secret;

use crate::credential::{self, Cost, HashError, Scratch};
use crate::map::{Map, Shared};
use crate::resolve;
use crate::store::Freshness;

pub use cache::NoRandom;
pub(crate) use pool::Pool;

use self::cache::Cache;
use self::pool::NotVerified;

kit::settings! {
    /// How passwords are checked.
    #[derive(PartialEq, Eq)]
    pub struct AuthenticateConfig {
        /// What new hashes cost.
        pub cost: Cost as SECTION,
        /// Passwords hashed at the same time.
        pub cores: usize as "N" = std::thread::available_parallelism().map_or(1, usize::from),
        /// Logins that may wait for a core, beside those that have one.
        pub waiting: usize as "N" = WAITING,
        /// How long a login is remembered.
        pub cache_ttl: Duration as DURATION = CACHE_TTL,
        /// How many logins are remembered.
        pub cache_entries: usize as "N" = CACHE_ENTRIES,
        /// How long the proof before a denial may take.
        pub proof: Duration as DURATION = PROOF,
    }
}

/// Two seconds of one core, inside the five that callers wait.
const WAITING: usize = 64;

/// Mail programs poll every one to five minutes.
const CACHE_TTL: Duration = Duration::from_secs(600);

/// About 100 octets each.
const CACHE_ENTRIES: usize = 200_000;

/// A store that elects a new leader takes a second or two.
const PROOF: Duration = Duration::from_secs(2);

/// A check of passwords could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No random key for the cache.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// Hashing itself fails.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Checks passwords against the map.
pub(crate) struct Authenticator {
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    pool: Pool,
    cache: Mutex<Cache>,
    /// A hash that no password has, for accounts that are not there.
    nobody: String,
    proof: Duration,
}

/// What the map knows of who logs in.
enum Login {
    Known(AccountId, String),
    /// No such account, or none that may log in.
    Nobody,
    /// There is such an account; why it cannot be told whether the password is right.
    Unsure(NobodyKnows),
}

impl Authenticator {
    /// Hashes once, so that wrong parameters end the start and not each login.
    pub(crate) fn new(
        shared: Arc<Shared>,
        freshness: Arc<Freshness>,
        pool: Pool,
        config: &AuthenticateConfig,
    ) -> Result<Self, SetupError> {
        let nobody = credential::hash(
            &Secret::new("nobody's"),
            pool.cost(),
            &mut Scratch::default(),
        )?;
        Ok(Self {
            shared,
            freshness,
            pool,
            cache: Mutex::new(Cache::new(config.cache_ttl, config.cache_entries)?),
            nobody,
            proof: config.proof,
        })
    }

    /// Checks one login.
    pub(crate) async fn check(&self, login: &str, password: Secret) -> Outcome {
        if let Some(granted) = self.check_now(login, &password) {
            return granted;
        }
        let first = look_up(&self.shared.read(), login);
        if let Some(outcome) = self.verify(login, &first, &password).await {
            return outcome;
        }
        let deadline = Instant::now() + self.proof;
        if self.freshness.prove_current(deadline).await.is_err() {
            return nobody_knows(NobodyKnows::Unproven);
        }
        let second = look_up(&self.shared.read(), login);
        match (first, second) {
            // What was wrong is still wrong: nothing of this account changed until the proof.
            (Login::Known(_, before), Login::Known(_, after)) if before == after => denied(),
            (Login::Nobody, Login::Nobody) => denied(),
            (_, Login::Unsure(why)) => nobody_knows(why),
            (_, second) => {
                let outcome = self.verify(login, &second, &password).await;
                outcome.unwrap_or_else(denied)
            }
        }
    }

    /// Granted from the cache.
    fn check_now(&self, login: &str, password: &Secret) -> Option<Outcome> {
        let map = self.shared.read();
        let Login::Known(id, phc) = look_up(&map, login) else {
            return None;
        };
        let cache = self.cache.lock();
        let known = cache.knows(id, &phc, password, kit::clock::boottime());
        known.then(|| grant(&map, id))
    }

    /// Hashes; none: the password is wrong, or this map has nobody it could be right for.
    async fn verify(&self, login: &str, found: &Login, password: &Secret) -> Option<Outcome> {
        let phc = match found {
            Login::Known(_, phc) => phc,
            Login::Nobody | Login::Unsure(_) => &self.nobody,
        };
        let right = match self.pool.verify(password.clone(), phc.clone()).await {
            Ok(right) => right,
            Err(NotVerified::Full) => return Some(Outcome::Busy(Busy {})),
            // The replica stops, or has logged the panic.
            Err(NotVerified::NoAnswer(_)) => return Some(nobody_knows(NobodyKnows::Unchecked)),
        };
        match found {
            // A password longer than any that is set is wrong; it has cost the same.
            Login::Known(id, phc) if right && !password.is_too_long() => {
                self.granted(login, *id, phc, password)
            }
            Login::Known(..) | Login::Nobody | Login::Unsure(_) => None,
        }
    }

    /// Grants, unless the account changed while the password was hashed.
    fn granted(&self, login: &str, id: AccountId, phc: &str, password: &Secret) -> Option<Outcome> {
        let map = self.shared.read();
        match look_up(&map, login) {
            Login::Known(now, stored) if now == id && stored == phc => {
                let mut cache = self.cache.lock();
                cache.add(id, phc, password, kit::clock::boottime());
                Some(grant(&map, id))
            }
            _ => Some(nobody_knows(NobodyKnows::Changing)),
        }
    }
}

fn look_up(map: &Map, login: &str) -> Login {
    let account = resolve::primary(map, login).and_then(|id| map.account(id));
    let Some(account) = account else {
        return Login::Nobody;
    };
    match (account.state(), map.credential(account.id())) {
        (AccountState::Active, _) if resolve::is_lost(&account) => Login::Unsure(NobodyKnows::Lost),
        (AccountState::Active, Some(phc)) => Login::Known(account.id(), phc),
        (AccountState::Creating, _) => Login::Unsure(NobodyKnows::Creating),
        _ => Login::Nobody,
    }
}

fn grant(map: &Map, id: AccountId) -> Outcome {
    match map.account(id) {
        Some(account) => Outcome::Granted(Granted {
            route: Some(resolve::route(&account)),
            address: account.address(),
        }),
        None => nobody_knows(NobodyKnows::Changing),
    }
}

fn denied() -> Outcome {
    Outcome::Denied(Denied {})
}

fn nobody_knows(why: NobodyKnows) -> Outcome {
    Outcome::NobodyKnows(why.into())
}
