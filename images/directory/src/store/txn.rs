//! Transactions: conditions, puts and deletes.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Error, Key, LeaseId, Revision};

/// Most conditions, and most writes, of one transaction: what etcd takes by default
/// (`--max-txn-ops`).
pub const MAX_OPERATIONS: usize = 128;

/// Most octets of keys and values together: etcd takes requests of 1.5 MiB by default, and
/// conditions and framing need room.
pub const MAX_TXN_BYTES: usize = 1024 * 1024;

/// What a key has to be for the transaction to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It is not there.
    Absent,
    /// It is there, put last by the transaction with this revision.
    At(Revision),
    /// It is there.
    Present,
}

/// A write of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Key,
    /// Its new value.
    pub value: Bytes,
    /// The key vanishes with this lease; none: it stays. A put replaces an earlier one's lease.
    pub lease: Option<LeaseId>,
}

/// Conditions, then writes: all of it happens, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// All must hold.
    pub conditions: Vec<(Key, Expect)>,
    /// Written when they do.
    pub puts: Vec<Put>,
    /// Deleted when they do; a key that is not there is no error.
    pub deletes: Vec<Key>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable, with this revision.
    Committed(Revision),
    /// A condition did not hold; nothing was written.
    Conflict,
}

impl Txn {
    /// An empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, key: impl Into<Key>, expect: Expect) -> Self {
        self.conditions.push((key.into(), expect));
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        self.puts.push(Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        });
        self
    }

    /// Adds a put of a key that vanishes with `lease`.
    #[must_use]
    pub fn put_leased(
        mut self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
        lease: LeaseId,
    ) -> Self {
        self.puts.push(Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Number of keys it writes.
    pub fn writes(&self) -> usize {
        self.puts.len() + self.deletes.len()
    }

    /// Checks the rules that hold for every store: bounds, and each key written once.
    pub fn check(&self) -> Result<(), Error> {
        if self.conditions.len() > MAX_OPERATIONS || self.writes() > MAX_OPERATIONS {
            return Err(Error::Malformed("has too many parts"));
        }
        if self.writes() == 0 {
            return Err(Error::Malformed("writes nothing"));
        }
        if self.bytes() > MAX_TXN_BYTES {
            return Err(Error::Malformed("is too long"));
        }
        let mut seen = HashSet::new();
        let written = self.puts.iter().map(|put| &put.key).chain(&self.deletes);
        for key in written {
            if !seen.insert(key) {
                return Err(Error::Malformed("writes a key twice"));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let conditions = self.conditions.iter().map(|(key, _)| key.len());
        let puts = self.puts.iter().map(|put| put.key.len() + put.value.len());
        let deletes = self.deletes.iter().map(String::len);
        conditions.chain(puts).chain(deletes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_within_the_bounds_is_fine() {
        let txn = Txn::new().when("a", Expect::Absent).put("a", "1");
        assert_eq!(txn.delete("b").check(), Ok(()));
    }

    #[test]
    fn bounds_are_named() {
        let refused = |txn: Txn| txn.check().unwrap_err().to_string();
        assert!(refused(Txn::new()).contains("writes nothing"));
        assert!(refused(Txn::new().put("a", "1").delete("a")).contains("writes a key twice"));
        let long = vec![b'x'; MAX_TXN_BYTES];
        assert!(refused(Txn::new().put("a", long)).contains("is too long"));
        let many = (0..=MAX_OPERATIONS).fold(Txn::new(), |txn, n| txn.put(n.to_string(), "1"));
        assert!(refused(many).contains("has too many parts"));
        let wary = (0..=MAX_OPERATIONS).fold(Txn::new().put("a", "1"), |txn, n| {
            txn.when(n.to_string(), Expect::Present)
        });
        assert!(refused(wary).contains("has too many parts"));
    }
}
