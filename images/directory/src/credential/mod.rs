//! Passwords and what is kept of them: argon2id hashes (RFC 9106) as PHC strings.

mod packed;
mod scratch;

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use kit::task::NoAnswer;
use wire::secret::Secret;

pub use packed::fuzz;
pub(crate) use packed::{pack, unpack};
pub use scratch::Scratch;

kit::settings! {
    /// What one hash costs. The default is OWASP's first choice: 25 to 40 ms of one core.
    #[derive(Copy, PartialEq, Eq)]
    pub struct Cost {
        /// Memory of one password hash.
        pub memory: u32 as "KIB" = 19_456,
        /// Passes of one password hash.
        pub passes: u32 as "N" = 2,
    }
}

impl Cost {
    fn params(self) -> Result<Params, HashError> {
        Params::new(self.memory, self.passes, 1, None)
            .map_err(|error| HashError::Argon2(error.to_string()))
    }

    /// Whether argon2 takes it.
    pub fn check(self) -> Result<(), HashError> {
        self.params().map(drop)
    }
}

/// Why a password could not be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Wrong parameters, or no random numbers.
    #[error("the password cannot be hashed: {0}")]
    Argon2(String),
    /// It was not hashed to the end.
    #[error("the password was not hashed: {0}")]
    NoAnswer(#[from] NoAnswer),
}

/// Hashes a password with a fresh salt. Takes milliseconds to tens of them: not on an async thread.
pub fn hash(password: &Secret, cost: Cost, scratch: &mut Scratch) -> Result<String, HashError> {
    let salt = Salt::generate();
    let params = cost.params()?;
    let shown = (&params).try_into();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let length = Params::DEFAULT_OUTPUT_LEN;
    let hash = scratch.hash(&argon2, password.expose(), &salt, length);
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: shown.map_err(|error| HashError::Argon2(format!("{error}")))?,
        salt: Some(salt),
        hash: Some(hash.map_err(HashError::Argon2)?),
    };
    Ok(hash.to_string())
}

/// Whether the password is the one that was hashed. As slow as hashing.
pub fn verify(password: &Secret, phc: &str, scratch: &mut Scratch) -> bool {
    is_hash_of(password, phc, scratch).unwrap_or(false)
}

/// `None`: that is no hash of argon2's.
fn is_hash_of(password: &Secret, phc: &str, scratch: &mut Scratch) -> Option<bool> {
    let hash = PasswordHash::new(phc).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
    let (salt, known) = (hash.salt?, hash.hash?);
    let found = scratch.hash(&argon2, password.expose(), &salt, known.len());
    // Output's comparison takes the same time wherever they differ.
    Some(found.ok()? == known)
}

#[cfg(test)]
pub(crate) const CHEAP: Cost = Cost {
    memory: 8,
    passes: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str, cost: Cost) -> String {
        super::hash(&Secret::new(password), cost, &mut Scratch::default()).unwrap()
    }

    #[test]
    fn verifies_the_hashed_password_only() {
        let phc = hash("pässword", CHEAP);
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        let mut scratch = Scratch::default();
        assert!(verify(&Secret::new("pässword"), &phc, &mut scratch));
        assert!(!verify(&Secret::new("password"), &phc, &mut scratch));
        assert!(!verify(&Secret::new(""), "not a hash", &mut scratch));
    }

    #[test]
    fn used_memory_is_as_good_as_new() {
        let costly = Cost {
            memory: 64,
            passes: 3,
        };
        let (cheap, costly) = (hash("a", CHEAP), hash("b", costly));
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            assert!(verify(&Secret::new("a"), &cheap, &mut scratch));
            assert!(verify(&Secret::new("b"), &costly, &mut scratch));
            assert!(!verify(&Secret::new("a"), &costly, &mut scratch));
        }
    }

    /// The library's own verifier agrees, so the hashes are argon2's.
    #[test]
    fn hashes_are_what_others_read() {
        use argon2::password_hash::PasswordVerifier as _;
        let phc = hash("a", CHEAP);
        assert!(
            Argon2::default()
                .verify_password(b"a", phc.as_str())
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"b", phc.as_str())
                .is_err()
        );
    }

    #[test]
    fn salts_differ() {
        assert_ne!(hash("one", CHEAP), hash("one", CHEAP));
    }
}
