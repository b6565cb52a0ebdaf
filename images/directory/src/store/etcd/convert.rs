//! Between our transactions and etcd's.

use bytes::Bytes;

use super::proto::compare::{CompareResult, CompareTarget, TargetUnion};
use super::proto::request_op::Request;
use super::proto::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use crate::store::{Entry, Error, Expect, Key, Put, Revision, Txn};

/// Our keys inside etcd's: all of them start with one prefix.
#[derive(Debug, Clone)]
pub(super) struct Prefix(pub(super) String);

impl Prefix {
    pub(super) fn outer(&self, key: &str) -> Bytes {
        format!("{}{key}", self.0).into()
    }

    pub(super) fn inner(&self, key: &[u8]) -> Result<Key, Error> {
        std::str::from_utf8(key)
            .ok()
            .and_then(|key| key.strip_prefix(&self.0))
            .map(str::to_owned)
            .ok_or_else(|| Error::Failed(format!("etcd answered another key: {key:?}")))
    }

    /// The first key after all of ours.
    pub(super) fn end(&self) -> Bytes {
        let mut end = self.0.clone().into_bytes();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        end.into()
    }

    pub(super) fn entry(&self, pair: KeyValue) -> Result<Entry, Error> {
        Ok(Entry {
            key: self.inner(&pair.key)?,
            value: pair.value,
            revision: revision(pair.mod_revision),
        })
    }

    pub(super) fn txn(&self, txn: Txn) -> TxnRequest {
        let conditions = txn.conditions.into_iter();
        let puts = txn.puts.into_iter().map(|put| self.put(put));
        let deletes = txn.deletes.iter().map(|key| self.delete(key));
        TxnRequest {
            compare: conditions
                .map(|(key, expect)| self.compare(&key, expect))
                .collect(),
            success: puts.chain(deletes).collect(),
        }
    }

    pub(super) fn get(&self, keys: &[Key]) -> TxnRequest {
        let ranges = keys.iter().map(|key| RequestOp {
            request: Some(Request::RequestRange(RangeRequest {
                key: self.outer(key),
                ..RangeRequest::default()
            })),
        });
        TxnRequest {
            compare: Vec::new(),
            success: ranges.collect(),
        }
    }

    fn compare(&self, key: &str, expect: Expect) -> Compare {
        // A key that is not there has version 0.
        let (result, target, union) = match expect {
            Expect::Absent => (
                CompareResult::Equal,
                CompareTarget::Version,
                TargetUnion::Version(0),
            ),
            Expect::Present => (
                CompareResult::Greater,
                CompareTarget::Version,
                TargetUnion::Version(0),
            ),
            Expect::At(at) => (
                CompareResult::Equal,
                CompareTarget::Mod,
                TargetUnion::ModRevision(number(at)),
            ),
        };
        Compare {
            result: result.into(),
            target: target.into(),
            key: self.outer(key),
            target_union: Some(union),
        }
    }

    fn put(&self, put: Put) -> RequestOp {
        RequestOp {
            request: Some(Request::RequestPut(PutRequest {
                key: self.outer(&put.key),
                value: put.value,
                lease: put.lease.map_or(0, |lease| lease.0),
            })),
        }
    }

    fn delete(&self, key: &str) -> RequestOp {
        RequestOp {
            request: Some(Request::RequestDeleteRange(DeleteRangeRequest {
                key: self.outer(key),
            })),
        }
    }
}

/// etcd's revisions are signed and never negative.
pub(super) fn revision(number: i64) -> Revision {
    Revision(number.unsigned_abs())
}

/// A revision as etcd writes it; what is above its range names no transaction.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_bounds_its_keys() {
        let prefix = Prefix("/buzonera/a/".to_owned());
        assert_eq!(prefix.outer("x/y"), "/buzonera/a/x/y");
        assert_eq!(prefix.inner(b"/buzonera/a/x/y").unwrap(), "x/y");
        assert_eq!(prefix.end(), "/buzonera/a0");
        assert!(prefix.inner(b"/buzonera/b/x").is_err());
    }
}
