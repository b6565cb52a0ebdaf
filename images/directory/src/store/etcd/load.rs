//! Everything at one revision, page by page.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::MAX_MESSAGE;
use super::convert::{Prefix, number, revision};
use super::endpoints::{Endpoints, with_leader};
use super::proto::kv_client::KvClient;
use super::proto::{RangeRequest, RangeResponse};
use crate::model::Kind;
use crate::store::{Entry, Error, Revision};

/// Where a load is.
struct Pager {
    endpoints: Arc<Endpoints>,
    prefix: Prefix,
    revision: Revision,
    /// Ranges that are left, the next one last.
    ranges: Vec<(Bytes, Bytes)>,
}

/// The pages at `revision`.
pub(super) fn pages(
    endpoints: Arc<Endpoints>,
    prefix: Prefix,
    revision: Revision,
) -> BoxStream<'static, Result<Vec<Entry>, Error>> {
    let ranges = ranges(&prefix);
    let pager = Pager {
        endpoints,
        prefix,
        revision,
        ranges,
    };
    stream::try_unfold(pager, Pager::next).boxed()
}

impl Pager {
    async fn next(mut self) -> Result<Option<(Vec<Entry>, Self)>, Error> {
        let Some((start, end)) = self.ranges.pop() else {
            return Ok(None);
        };
        let reply = self.range(start, end.clone()).await?;
        if let Some(last) = reply.kvs.last().filter(|_| reply.more) {
            let mut after = last.key.to_vec();
            after.push(0);
            self.ranges.push((after.into(), end));
        }
        let pairs = reply.kvs.into_iter();
        let entries = pairs
            .map(|pair| self.prefix.entry(pair))
            .collect::<Result<_, _>>()?;
        Ok(Some((entries, self)))
    }

    async fn range(&self, key: Bytes, range_end: Bytes) -> Result<RangeResponse, Error> {
        let options = self.endpoints.options();
        let request = RangeRequest {
            key,
            range_end,
            limit: i64::try_from(options.page_entries.max(1)).unwrap_or(i64::MAX),
            revision: number(self.revision),
        };
        let call = |channel| {
            let request = with_leader(request.clone());
            async move {
                let mut client = KvClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                client.range(request).await
            }
        };
        let reply = self.endpoints.read(options.page_timeout, call).await;
        reply.map_err(|error| match error {
            Error::Compacted(_) => Error::Compacted(self.revision),
            other => other,
        })
    }
}

/// All our keys, cut where a kind of key starts, since every page counts the rest of its range.
fn ranges(prefix: &Prefix) -> Vec<(Bytes, Bytes)> {
    let mut cuts: Vec<Bytes> = Kind::ALL
        .iter()
        .map(|kind| prefix.outer(kind.prefix()))
        .collect();
    cuts.push(prefix.outer(""));
    cuts.push(prefix.end());
    cuts.sort();
    let pairs = cuts.windows(2).rev();
    pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// The newest revision, and (by being linearizable) nothing older. Reads a key that is never there:
/// etcd's answer tells it, and a range would be counted.
pub(super) async fn head(endpoints: &Endpoints, prefix: &Prefix) -> Result<Head, Error> {
    let call = |channel| {
        let request = with_leader(RangeRequest {
            key: prefix.outer(""),
            ..RangeRequest::default()
        });
        async move { KvClient::new(channel).range(request).await }
    };
    let reply = endpoints
        .read(endpoints.options().attempt_timeout, call)
        .await?;
    let header = reply.header.unwrap_or_default();
    Ok(Head {
        revision: revision(header.revision),
        term: header.raft_term,
    })
}

/// What a linearizable read tells.
pub(super) struct Head {
    pub(super) revision: Revision,
    /// Of the leader that confirmed it.
    pub(super) term: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_key_once() {
        let prefix = Prefix("/p/".to_owned());
        let ranges: Vec<_> = ranges(&prefix).into_iter().rev().collect();
        assert_eq!(ranges.first().unwrap().0, "/p/");
        assert_eq!(ranges.last().unwrap().1, "/p0");
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
        }
        assert_eq!(ranges.len(), Kind::ALL.len() + 1);
    }
}
