//! Who a process or person is: the one URI in its certificate.
//!
//! `spiffe://CLUSTER-ID/TIER/INSTANCE`, after the SPIFFE ID standard, section 2.

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::ids::{ClusterId, is_label};

/// The longest identity that is read.
pub const MAX_LENGTH: usize = 255;

/// What kind of process or person a certificate is for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "lowercase")]
pub enum Tier {
    /// A directory replica.
    Directory,
    /// A shard; its instance is the shard's name.
    Storage,
    /// An SMTP front end.
    Mx,
    /// A POP3 and IMAP front end.
    Proxy,
    /// A person, or a program that acts for one.
    Admin,
    /// The program that keeps a cluster as it is described: it makes shards and has accounts moved,
    /// and has no right to passwords, accounts or mail.
    Operator,
}

impl Tier {
    /// Every tier.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The tier's name in identities, logs and metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One identity: cluster, tier and instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    cluster: ClusterId,
    tier: Tier,
    instance: String,
}

/// Text that is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an identity: write spiffe://CLUSTER-ID/TIER/INSTANCE")]
pub struct IdentityError(String);

impl Identity {
    /// Composes an identity; `instance` is a DNS label (RFC 1123).
    pub fn new(cluster: ClusterId, tier: Tier, instance: &str) -> Result<Self, IdentityError> {
        if !is_label(instance) {
            return Err(IdentityError(instance.chars().take(MAX_LENGTH).collect()));
        }
        Ok(Self {
            cluster,
            tier,
            instance: instance.to_owned(),
        })
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Its tier.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Which one of its tier; a shard's name for storage.
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "spiffe://{}/{}/{}",
            self.cluster, self.tier, self.instance
        )
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError(text.chars().take(MAX_LENGTH).collect());
        if text.len() > MAX_LENGTH {
            return Err(wrong());
        }
        let mut parts = text.strip_prefix("spiffe://").ok_or_else(wrong)?.split('/');
        let (Some(cluster), Some(tier), Some(instance), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let cluster = cluster.parse().map_err(|_| wrong())?;
        let tier: Tier = tier.parse().map_err(|_| wrong())?;
        Self::new(cluster, tier, instance)
    }
}

/// Feeds any octets to the parser; what it accepts must print as it was.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(identity) = text.parse::<Identity>() {
        let printed = identity.to_string();
        assert_eq!(printed.parse(), Ok(identity));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_what_it_parses() {
        let identity = Identity::new(ClusterId::random(), Tier::Storage, "shard-1").unwrap();
        assert_eq!(identity.to_string().parse(), Ok(identity));
    }

    #[test]
    fn refuses_other_forms() {
        let id = ClusterId::random();
        for bad in [
            String::new(),
            format!("spiffe://{id}/storage"),
            format!("spiffe://{id}/storage/a/b"),
            format!("spiffe://{id}/nobody/a"),
            format!("http://{id}/storage/a"),
            "spiffe://cluster/storage/a".to_owned(),
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_identities(text in "spiffe://[0-9a-f-]{30,40}/(mx|storage)/[a-z-]{0,5}") {
            fuzz(text.as_bytes());
        }
    }
}
