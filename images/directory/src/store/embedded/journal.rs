//! The log's records, and reading entries out of them.

use prost::Message;
use segments::{Log, Position, ReadError, Record};

use super::index::Place;
use super::proto::{Carried, Item, Transaction};
use crate::store::{Entry, Error, Revision};

const TRANSACTION: u8 = 1;
const CARRIED: u8 = 2;

/// A record, understood: entries with their own revisions, and keys deleted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Journal {
    /// The newest revision given out when it was written.
    pub(super) revision: Revision,
    pub(super) items: Vec<Item>,
    pub(super) deletes: Vec<String>,
}

/// A record that is not of this format.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error("a record has kind {0}, which this version does not know")]
    Kind(u8),
    #[error("a record cannot be read: {0}")]
    Decode(#[from] prost::DecodeError),
}

pub(super) fn transaction(transaction: &Transaction) -> Record {
    Record::new(TRANSACTION, transaction.encode_to_vec())
}

pub(super) fn carried(carried: &Carried) -> Record {
    Record::new(CARRIED, carried.encode_to_vec())
}

impl Journal {
    pub(super) fn read(record: &Record) -> Result<Self, JournalError> {
        match record.kind {
            TRANSACTION => {
                let mut read = Transaction::decode(record.payload())?;
                let own = |item: &mut Item| item.revision = read.revision;
                read.puts.iter_mut().for_each(own);
                Ok(Self {
                    revision: Revision(read.revision),
                    items: read.puts,
                    deletes: read.deletes,
                })
            }
            CARRIED => {
                let read = Carried::decode(record.payload())?;
                Ok(Self {
                    revision: Revision(read.revision),
                    items: read.items,
                    deletes: Vec::new(),
                })
            }
            other => Err(JournalError::Kind(other)),
        }
    }
}

/// The record at a place; none when its segment was reclaimed meanwhile.
pub(super) fn read_at(log: &Log, place: Place) -> Result<Option<Journal>, Error> {
    let record = match log.read(Position::from(place)) {
        Ok(record) => record,
        Err(ReadError::NoSuchSegment(_)) => return Ok(None),
        Err(error) => return Err(Error::Failed(error.to_string())),
    };
    match Journal::read(&record) {
        Ok(journal) => Ok(Some(journal)),
        Err(error) => Err(Error::Failed(format!("{}: {error}", Position::from(place)))),
    }
}

pub(super) fn entry(item: Item) -> Entry {
    Entry {
        key: item.key,
        value: item.value,
        revision: Revision(item.revision),
    }
}

/// Feeds any octets to the records' parser; what it accepts must read back the same.
pub fn fuzz(data: &[u8]) {
    for kind in [TRANSACTION, CARRIED, 0] {
        let Ok(journal) = Journal::read(&Record::new(kind, data.to_vec())) else {
            continue;
        };
        let again = Carried {
            revision: journal.revision.0,
            items: journal.items.clone(),
        };
        let read = Journal::read(&carried(&again)).map(|read| read.items);
        assert_eq!(read.ok(), Some(journal.items));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_transaction_gives_its_revision_to_its_puts() {
        let item = |key: &str, revision| Item {
            key: key.to_owned(),
            revision,
            ..Item::default()
        };
        let written = Transaction {
            revision: 7,
            puts: vec![item("a", 0)],
            deletes: vec!["b".to_owned()],
        };
        let read = Journal::read(&transaction(&written)).unwrap();
        assert_eq!(read.items, [item("a", 7)]);
        assert_eq!(read.deletes, ["b"]);
        let written = Carried {
            revision: 9,
            items: vec![item("a", 7)],
        };
        let read = Journal::read(&carried(&written)).unwrap();
        assert_eq!(
            (read.revision, read.items),
            (Revision(9), vec![item("a", 7)])
        );
        assert!(Journal::read(&Record::new(9, "")).is_err());
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
