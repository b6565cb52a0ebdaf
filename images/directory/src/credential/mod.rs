//! Passwords and what is kept of them: argon2id hashes (RFC 9106) as PHC strings.

mod packed;
mod secret;

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

pub use packed::fuzz;
pub(crate) use packed::{pack, unpack};
pub use secret::Secret;

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cost {
    /// Memory, KiB.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
}

impl Cost {
    /// 19 MiB, two passes: OWASP's first choice; 25 to 40 ms of one core.
    pub const DEFAULT: Self = Self {
        memory: 19_456,
        passes: 2,
    };

    fn params(self) -> Result<Params, HashError> {
        Params::new(self.memory, self.passes, 1, None).map_err(|error| HashError(error.to_string()))
    }

    /// Whether argon2 takes it.
    pub fn check(self) -> Result<(), HashError> {
        self.params().map(drop)
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A password could not be hashed: wrong parameters, or no random numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

impl HashError {
    /// The process stops before it was hashed.
    pub(crate) fn stopped() -> Self {
        Self("this process is stopping".to_owned())
    }
}

/// Hashes a password with a fresh salt. Takes milliseconds to tens of them: not on an async thread.
pub fn hash(password: &Secret, cost: Cost) -> Result<String, HashError> {
    let salt = Salt::generate();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
    let hash = argon2.hash_password_with_params(password.expose(), &salt, cost.params()?);
    match hash {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => Err(HashError(error.to_string())),
    }
}

/// Whether the password is the one that was hashed. As slow as hashing.
pub fn verify(password: &Secret, phc: &str) -> bool {
    let Ok(hash) = PasswordHash::new(phc) else {
        return false;
    };
    Argon2::default()
        .verify_password(password.expose(), &hash)
        .is_ok()
}

#[cfg(test)]
pub(crate) const CHEAP: Cost = Cost {
    memory: 8,
    passes: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_the_hashed_password_only() {
        let phc = hash(&Secret::from("pässword"), CHEAP).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(verify(&Secret::from("pässword"), &phc));
        assert!(!verify(&Secret::from("password"), &phc));
        assert!(!verify(&Secret::from(""), "not a hash"));
    }

    #[test]
    fn salts_differ() {
        let password = Secret::from("one");
        assert_ne!(hash(&password, CHEAP), hash(&password, CHEAP));
    }
}
