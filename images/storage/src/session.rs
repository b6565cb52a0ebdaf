//! What POP3 (later IMAP) sees of an account: a locked snapshot, its octets, and durable deletes.

use std::net::SocketAddr;

use bytes::Bytes;
use wire::ids::{AccountId, Epoch};

/// The shard's accounts, as mail clients see them. Cheap to clone.
#[derive(Clone)]
pub struct Mailstore {}

/// Whose session it is, for the log.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// The session id that the proxy gave.
    pub session: String,
    /// The mail client, not the proxy.
    pub client: SocketAddr,
}

/// Why a maildrop cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another epoch: ask the directory for at least this one. 0: this shard does not know.
    #[error("the account is elsewhere since epoch {0}")]
    Moved(Epoch),
    /// Another session holds the account's POP3 lock.
    #[error("the maildrop is open in another session")]
    InUse,
    /// Try again later; says why.
    #[error("{0}")]
    Temporary(String),
}

/// Why octets cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The session has ended: close the connection.
    #[error("the session has ended")]
    Ended,
    /// Try again later; says why.
    #[error("{0}")]
    Temporary(String),
}

/// Why nothing, or not surely everything, was deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpungeError(pub String);

/// One message of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildropMessage {
    /// IMAP UID in INBOX; rises within the snapshot.
    pub uid: u32,
    /// Octets as RETR sends them before dot-stuffing: prefix and body.
    pub size: u64,
    /// POP3 unique-id: 1 to 70 of 0x21 to 0x7E (RFC 1939 section 7).
    pub uidl: String,
}

/// One account's INBOX as it was when it was opened, under the account's exclusive POP3 lock,
/// which ends when this is dropped.
pub struct Maildrop {
    messages: Vec<MaildropMessage>,
}

impl Mailstore {
    /// Locks the account and takes a snapshot of its INBOX.
    pub async fn open_maildrop(
        &self,
        _account: AccountId,
        _epoch: Epoch,
        _session: SessionInfo,
    ) -> Result<Maildrop, OpenError> {
        Err(OpenError::Temporary("the shard is starting".to_owned()))
    }
}

impl Maildrop {
    /// The snapshot, UIDs ascending.
    pub fn messages(&self) -> &[MaildropMessage] {
        &self.messages
    }

    /// Up to `max` octets of the message at `index` of the snapshot (prefix, then body), from
    /// `offset`; empty at its end.
    pub async fn read(&self, _index: usize, _offset: u64, _max: usize) -> Result<Bytes, ReadError> {
        Err(ReadError::Ended)
    }

    /// Deletes messages by UID, durably before it returns.
    pub async fn expunge(&self, _uids: &[u32]) -> Result<(), ExpungeError> {
        Err(ExpungeError("the shard is starting".to_owned()))
    }

    /// Resolves when the session must end: the account was removed or released, the shard was
    /// superseded or is closing.
    pub async fn ended(&self) {
        std::future::pending().await
    }
}
