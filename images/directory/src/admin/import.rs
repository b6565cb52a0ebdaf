//! Many accounts at once.
//!
//! Rows are checked and hashed first, then written in transactions of several rows. A row's account
//! id follows from the request's id and the row's place, so a request that is sent again finds the
//! rows it has written already.

use std::collections::HashSet;

use futures::future::join_all;
use plan::Balance;
use ring::digest::{SHA256, digest};
use tonic::{Code, Status};
use wire::address::Canonical;
use wire::ids::{AccountId, RequestId, ShardName};
use wire::rpc::{ImportAccountsReply, ImportAccountsRequest, ImportResult, ImportRow, Quota};
use wire::secret::Secret;

use super::accounts::{New, put_account, record_of};
use super::aliases::{address_key, alias_record};
use super::write::{Plan, Request, value};
use super::{Admin, refuse};
use crate::map::{LeadsTo, Map};
use crate::placement;
use crate::store::{Expect, Txn};

/// Most rows of one request.
const MAX_ROWS: usize = 1000;

/// Most aliases of one row, so that a row always fits in a transaction.
const MAX_ALIASES: usize = 20;

/// Most writes of one transaction: below the store's bound, since a row adds up to 23.
const MAX_WRITES: usize = 100;

/// How often a batch is decided anew when others change what it read.
const ATTEMPTS: usize = 5;

/// A row that can be written.
struct Row {
    /// Its place in the request.
    at: usize,
    id: AccountId,
    address: Canonical,
    aliases: Vec<Canonical>,
    quota: Quota,
    phc: String,
}

/// Why a row was not written, in a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RowError {
    /// The same request, sent again, may write it.
    Again(String),
    /// It is refused whenever it comes.
    Never(String),
}

/// One result per row: none yet, done, or refused.
type Results = Vec<Option<Result<(), RowError>>>;

impl Admin {
    pub(super) async fn import_accounts(
        &self,
        mut message: ImportAccountsRequest,
    ) -> Result<ImportAccountsReply, Status> {
        if message.rows.len() > MAX_ROWS {
            let why = format!("write at most {MAX_ROWS}");
            return Err(refuse::invalid("rows", why));
        }
        let id = std::mem::take(&mut message.request_id);
        let take = |row: &mut ImportRow| Secret::new(std::mem::take(&mut row.password));
        let passwords: Vec<_> = message.rows.iter_mut().map(take).collect();
        let request = Request::new(&id, "Admin.ImportAccounts", &message)?;
        if let Some(reply) = self.earlier(&request).await? {
            return Ok(reply);
        }
        self.current().await?;
        let (mut rows, mut results) = self.checked(request.id(), &message.rows, &passwords);
        if message.check_only {
            return Ok(reply(results));
        }
        self.hash_rows(&mut rows, &passwords, &mut results).await;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        for batch in batches(rows) {
            self.import_batch(batch, &mut results).await;
        }
        // Until the map has followed these writes, it knows none of the accounts.
        self.current().await?;
        self.until_active(&ids).await;
        let reply = reply(results);
        if reply.results.iter().any(|result| result.again) {
            // Not the last word: sent again, the request does the rest.
            return Ok(reply);
        }
        let done = || async { Ok(Plan::Commit(Txn::new(), reply.clone())) };
        self.write(&request, done).await
    }

    /// The rows that can be written, and why the others cannot.
    fn checked(
        &self,
        request: RequestId,
        rows: &[ImportRow],
        passwords: &[Secret],
    ) -> (Vec<Row>, Results) {
        let map = self.shared.read();
        let mut names = HashSet::new();
        let mut good = Vec::new();
        let mut results = vec![None; rows.len()];
        for (at, (row, password)) in rows.iter().zip(passwords).enumerate() {
            match check_row(&map, request, at, row, password, &mut names) {
                Ok(Some(row)) => good.push(row),
                Ok(None) => results[at] = Some(Ok(())),
                Err(error) => results[at] = Some(Err(RowError::Never(error))),
            }
        }
        (good, results)
    }

    /// Hashes all passwords; the pool bounds how many at a time.
    async fn hash_rows(&self, rows: &mut Vec<Row>, passwords: &[Secret], results: &mut Results) {
        let hashes = rows.iter().map(|row| self.hashed(&passwords[row.at]));
        let hashes = join_all(hashes).await;
        for (row, hash) in rows.iter_mut().zip(hashes) {
            match hash {
                Ok(phc) => row.phc = phc,
                Err(status) => results[row.at] = Some(Err(status.into())),
            }
        }
        rows.retain(|row| results[row.at].is_none());
    }

    /// Writes a batch in one transaction; after a conflict, what is still free of it.
    async fn import_batch(&self, mut batch: Vec<Row>, results: &mut Results) {
        for _ in 0..ATTEMPTS {
            if batch.is_empty() {
                return;
            }
            match self.try_batch(&batch).await {
                Ok(true) => {
                    for row in &batch {
                        results[row.at] = Some(Ok(()));
                    }
                    return;
                }
                Ok(false) => self.drop_taken(&mut batch, results).await,
                Err(status) => {
                    for row in &batch {
                        results[row.at] = Some(Err(status.clone().into()));
                    }
                    return;
                }
            }
        }
        for row in &batch {
            let changed = refuse::again("others changed the same");
            results[row.at] = Some(Err(changed.into()));
        }
    }

    async fn try_batch(&self, batch: &[Row]) -> Result<bool, Status> {
        let mut balance = placement::balance(&self.shared.read());
        let mut txn = Txn::new();
        let mut domains = HashSet::new();
        let mut shards = HashSet::new();
        for row in batch {
            let addresses = row.aliases.iter().chain([&row.address]);
            for domain in addresses.map(Canonical::domain) {
                if domains.insert(domain) {
                    txn = self.domain_for("address", domain).await?.unchanged(txn);
                }
            }
            txn = self.put_row(txn, row, &mut balance, &mut shards).await?;
        }
        Ok(self.step(txn).await?.is_some())
    }

    async fn put_row(
        &self,
        txn: Txn,
        row: &Row,
        balance: &mut Balance,
        shards: &mut HashSet<ShardName>,
    ) -> Result<Txn, Status> {
        let new = New {
            id: row.id,
            address: &row.address,
            quota: row.quota,
            phc: &row.phc,
        };
        let (shard, why) = self.place(balance, None).await?;
        let mut txn = put_account(txn, &new, &record_of(&new, &shard.name, why));
        if shards.insert(shard.name.clone()) {
            txn = shard.state.unchanged(txn);
        }
        let leads_to_it = value(&alias_record(std::slice::from_ref(&row.address)));
        for alias in &row.aliases {
            let key = address_key(alias);
            txn = txn
                .when(key.clone(), Expect::Absent)
                .put(key, leads_to_it.clone());
        }
        Ok(txn)
    }

    /// Takes out the rows that are written already, by us or by others.
    async fn drop_taken(&self, batch: &mut Vec<Row>, results: &mut Results) {
        if self.current().await.is_err() {
            return;
        }
        let map = self.shared.read();
        batch.retain(|row| {
            let result = match free(&map, row) {
                Ok(true) => return true,
                Ok(false) => Ok(()),
                Err(error) => Err(RowError::Never(error)),
            };
            results[row.at] = Some(result);
            false
        });
    }
}

/// What holds for a whole batch holds for each of its rows.
impl From<Status> for RowError {
    fn from(status: Status) -> Self {
        let sentence = status.message().to_owned();
        match status.code() {
            Code::Unavailable => Self::Again(sentence),
            _ => Self::Never(sentence),
        }
    }
}

fn reply(results: Results) -> ImportAccountsReply {
    let result = |result: Option<Result<(), RowError>>| {
        let (error, again) = match result {
            Some(Ok(())) | None => (String::new(), false),
            Some(Err(RowError::Never(error))) => (error, false),
            Some(Err(RowError::Again(error))) => (error, true),
        };
        ImportResult { error, again }
    };
    ImportAccountsReply {
        results: results.into_iter().map(result).collect(),
    }
}

/// A row to write; none: this very request has written it.
fn check_row(
    map: &Map,
    request: RequestId,
    at: usize,
    row: &ImportRow,
    password: &Secret,
    names: &mut HashSet<Canonical>,
) -> Result<Option<Row>, String> {
    if password.is_too_long() {
        return Err("password: it has more than 1,024 octets".to_owned());
    }
    if row.aliases.len() > MAX_ALIASES {
        return Err(format!("aliases: write at most {MAX_ALIASES}"));
    }
    let aliases = row.aliases.iter().map(|text| ours(map, "aliases", text));
    let row = Row {
        at,
        id: row_id(request, at),
        address: ours(map, "address", &row.address)?,
        aliases: aliases.collect::<Result<_, _>>()?,
        quota: row.quota.unwrap_or_default(),
        phc: String::new(),
    };
    for name in row.aliases.iter().chain([&row.address]) {
        if !names.insert(name.clone()) {
            return Err(format!("{name} is in the import twice"));
        }
    }
    Ok(free(map, &row)?.then_some(row))
}

fn ours(map: &Map, field: &str, text: &str) -> Result<Canonical, String> {
    let address: Canonical = text.parse().map_err(|error| format!("{field}: {error}"))?;
    if map.domain(address.domain()).is_none() {
        let domain = address.domain();
        return Err(format!("{field}: {domain} is not a domain of this cluster"));
    }
    Ok(address)
}

/// Whether the row can be written: false when it is there as this request writes it.
fn free(map: &Map, row: &Row) -> Result<bool, String> {
    match map.address(row.address.as_str()) {
        Some(LeadsTo::Account(id)) if id == row.id => return Ok(false),
        Some(_) => return Err(format!("{} exists already", row.address)),
        None => {}
    }
    let taken = |alias: &&Canonical| map.address(alias.as_str()).is_some();
    match row.aliases.iter().find(taken) {
        Some(alias) => Err(format!("{alias} exists already")),
        None => Ok(true),
    }
}

/// The account id of a row (UUID version 8, RFC 9562 section 5.8).
fn row_id(request: RequestId, at: usize) -> AccountId {
    let name = [&request.as_bytes()[..], &(at as u64).to_be_bytes()].concat();
    let mut id = [0; 16];
    id.copy_from_slice(&digest(&SHA256, &name).as_ref()[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    AccountId::from_bytes(id)
}

/// As many rows to a transaction as it takes.
fn batches(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut batches = Vec::new();
    let mut writes = MAX_WRITES;
    for row in rows {
        let more = 3 + row.aliases.len();
        if writes + more > MAX_WRITES {
            batches.push(Vec::new());
            writes = 0;
        }
        writes += more;
        if let Some(batch) = batches.last_mut() {
            batch.push(row);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_once_that_it_may_be_sent_again() {
        let busy = RowError::from(refuse::again("others changed the same"));
        let wrong = RowError::from(refuse::invalid(
            "address",
            "try again is no address; try again",
        ));
        let reply = reply(vec![Some(Err(busy)), Some(Err(wrong)), Some(Ok(())), None]);
        let [busy, wrong, done, checked] = &reply.results[..] else {
            panic!("{reply:?}");
        };
        assert_eq!(busy.error, "others changed the same; try again");
        assert!(busy.again);
        assert!(!wrong.again, "{wrong:?}");
        assert_eq!(
            (done, checked),
            (&ImportResult::default(), &ImportResult::default())
        );
    }
}
