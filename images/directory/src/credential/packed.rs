//! A hash in half the octets of its PHC string, for memory.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Params, Version};

const TEXT: u8 = 0;
const ARGON2ID: u8 = 1;

/// Memory, passes and lanes.
const NUMBERS: usize = 12;

/// The hash as octets; [`unpack`] gives back the very text.
pub(crate) fn pack(phc: &str) -> Vec<u8> {
    let packed = parts(phc).filter(|packed| unpack(packed) == phc);
    packed.unwrap_or_else(|| [&[TEXT], phc.as_bytes()].concat())
}

/// The PHC string of a packed hash; empty for octets that are none.
pub(crate) fn unpack(packed: &[u8]) -> String {
    match packed.split_first() {
        Some((&ARGON2ID, rest)) => text(rest).unwrap_or_default(),
        Some((&TEXT, rest)) => String::from_utf8_lossy(rest).into_owned(),
        _ => String::new(),
    }
}

fn parts(phc: &str) -> Option<Vec<u8>> {
    let hash = PasswordHash::new(phc).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let (salt, output) = (hash.salt?, hash.hash?);
    let mut packed = vec![ARGON2ID];
    for number in [params.m_cost(), params.t_cost(), params.p_cost()] {
        packed.extend_from_slice(&number.to_le_bytes());
    }
    packed.push(u8::try_from(salt.len()).ok()?);
    packed.extend_from_slice(&salt);
    packed.extend_from_slice(output.as_bytes());
    Some(packed)
}

fn text(packed: &[u8]) -> Option<String> {
    let (numbers, rest) = packed.split_at_checked(NUMBERS)?;
    let number = |at: usize| {
        let octets = numbers.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(octets))
    };
    let (salt_length, rest) = rest.split_first()?;
    let (salt, output) = rest.split_at_checked(usize::from(*salt_length))?;
    let params = Params::new(number(0)?, number(4)?, number(8)?, None).ok()?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: (&params).try_into().ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(output).ok()?),
    };
    Some(hash.to_string())
}

/// Feeds any octets to both directions.
pub fn fuzz(data: &[u8]) {
    unpack(data);
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(unpack(&pack(text)), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::secret::Secret;

    use super::*;
    use crate::credential::{CHEAP, Cost, Scratch, hash};

    #[test]
    fn halves_our_hashes_and_keeps_others() {
        let ours = hash(&Secret::new("a"), CHEAP, &mut Scratch::default()).unwrap();
        assert_eq!(unpack(&pack(&ours)), ours);
        assert!(pack(&ours).len() <= 62, "{}", pack(&ours).len());
        for other in [
            "",
            "$6$rounds=5000$salt$hash",
            "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ",
        ] {
            assert_eq!(unpack(&pack(other)), other);
        }
        assert!(Cost::default().check().is_ok());
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_hashes(text in "\\$argon2(id|i)\\$v=1[69]\\$m=[0-9]{1,6},t=[0-9],p=[0-9]\\$[a-zA-Z0-9]{0,30}\\$[a-zA-Z0-9]{0,50}") {
            fuzz(text.as_bytes());
        }
    }
}
