//! What POP3 (later IMAP) sees of an account: a locked snapshot, its octets, and durable deletes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use kit::task::NoAnswer;
use parking_lot::Mutex;
use wire::ids::{AccountId, Epoch};

use crate::account::INBOX;
use crate::index::{Index, IndexError};
use crate::records::proto::MessageRow;
use crate::shard::body::StoredMessage;
use crate::shard::{Expunge, NotBegun, Session, Shard, Unready, Why};

/// The shard's accounts, as mail clients see them. Cheap to clone.
#[derive(Clone)]
pub struct Mailstore {
    shard: Shard,
}

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
    /// Try again later.
    #[error(transparent)]
    NotNow(Why),
}

impl From<Unready> for OpenError {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Moved(epoch) => Self::Moved(epoch),
            Unready::Retry(why) => Self::NotNow(why),
        }
    }
}

impl From<NotBegun> for OpenError {
    fn from(not_begun: NotBegun) -> Self {
        match not_begun {
            NotBegun::InUse => Self::InUse,
            NotBegun::Unready(unready) => unready.into(),
        }
    }
}

/// Why octets cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The session has ended: close the connection.
    #[error("the session has ended")]
    Ended,
    /// The caller's fault.
    #[error("no such message")]
    NoSuchMessage,
    /// The disk does not give it now; the log says more.
    #[error("the message cannot be read")]
    Unreadable,
    /// What is stored is damaged: a person must look, and the log says more.
    #[error("the message cannot be read")]
    Damaged,
    /// The thread that read it panicked: a fault of ours.
    #[error("the message cannot be read")]
    Panicked,
}

/// Why nothing, or not surely everything, was deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ExpungeError(pub Unready);

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
    shard: Shard,
    session: Session,
    account: AccountId,
    epoch: Epoch,
    messages: Vec<MaildropMessage>,
    rows: Vec<Arc<MessageRow>>,
    /// The message that was read last, by its index.
    open: Arc<Mutex<Option<(usize, StoredMessage)>>>,
}

impl Mailstore {
    /// Of a shard.
    pub fn new(shard: Shard) -> Self {
        Self { shard }
    }

    /// Locks the account and takes a snapshot of its INBOX.
    pub async fn open_maildrop(
        &self,
        account: AccountId,
        epoch: Epoch,
        info: SessionInfo,
    ) -> Result<Maildrop, OpenError> {
        let session = self.shard.begin_session(account, epoch).await?;
        let (messages, rows) = snapshot(self.shard.index().clone(), account).await?;
        tracing::debug!(
            session = info.session, client = %info.client, %account, messages = messages.len(),
            "a maildrop is open"
        );
        Ok(Maildrop {
            shard: self.shard.clone(),
            session,
            account,
            epoch,
            messages,
            rows,
            open: Arc::default(),
        })
    }
}

impl Maildrop {
    /// The snapshot, UIDs ascending.
    pub fn messages(&self) -> &[MaildropMessage] {
        &self.messages
    }

    /// Whether the session may still answer from the snapshot: to be asked before each answer.
    /// After its lease ran out the shard asks the directory first.
    pub async fn ensure_current(&self) -> Result<(), ReadError> {
        let held = self.shard.lease().for_read().await;
        match held.is_ok() && !self.session.is_ended() {
            true => Ok(()),
            false => Err(ReadError::Ended),
        }
    }

    /// Up to `max` octets of the message at `index` of the snapshot (prefix, then body), from
    /// `offset`; empty at its end. Large messages come in pieces of at most 256 KiB.
    pub async fn read(&self, index: usize, offset: u64, max: usize) -> Result<Bytes, ReadError> {
        self.ensure_current().await?;
        let row = Arc::clone(self.rows.get(index).ok_or(ReadError::NoSuchMessage)?);
        let log = self.shard.log().clone();
        let open = Arc::clone(&self.open);
        let read = move || {
            let mut open = open.lock();
            if open.as_ref().is_none_or(|(opened, _)| *opened != index) {
                *open = Some((index, StoredMessage::new(log, row)));
            }
            match open.as_mut() {
                Some((_, message)) => message.read(offset, max),
                None => Ok(Bytes::new()),
            }
        };
        match kit::task::blocking(read).await {
            Ok(Ok(octets)) => Ok(octets),
            Ok(Err(error)) => {
                let uid = self.messages[index].uid;
                tracing::error!(account = %self.account, uid, %error, "a message cannot be read");
                Err(match error.is_damage() {
                    true => ReadError::Damaged,
                    false => ReadError::Unreadable,
                })
            }
            Err(NoAnswer::Panicked) => Err(ReadError::Panicked),
            Err(NoAnswer::Stopped) => Err(ReadError::Ended),
        }
    }

    /// Deletes messages by UID, durably before it returns. UIDs that are gone are no error.
    pub async fn expunge(&self, uids: &[u32]) -> Result<(), ExpungeError> {
        let expunge = Expunge {
            account: self.account,
            epoch: self.epoch,
            mailbox: INBOX,
            uids,
        };
        self.shard.expunge(&expunge).await.map_err(ExpungeError)
    }

    /// Resolves when the session must end: the account was removed or released, or the shard was
    /// superseded or is closing.
    pub async fn ended(&self) {
        self.session.ended().await;
    }
}

type Snapshot = (Vec<MaildropMessage>, Vec<Arc<MessageRow>>);

/// Lists INBOX from the index.
async fn snapshot(index: Index, account: AccountId) -> Result<Snapshot, OpenError> {
    let list = move || -> Result<Snapshot, IndexError> {
        let inbox = || -> Result<_, IndexError> {
            let account = index.account(account)?;
            Ok(account.and_then(|account| account.mailboxes.get(&INBOX).cloned()))
        };
        let counted = inbox()?;
        let uid_validity = counted.as_ref().map_or(0, |inbox| inbox.uid_validity);
        let mut snapshot = (Vec::new(), Vec::new());
        for message in index.messages(account, INBOX, 0) {
            let (uid, row) = message?;
            snapshot.0.push(MaildropMessage {
                uid,
                size: u64::from(row.prefix_length) + row.body_length,
                uidl: uidl(uid_validity, uid, &row.uidl),
            });
            snapshot.1.push(Arc::new(row));
        }
        let messages = counted.as_ref().map_or(0, |inbox| inbox.messages);
        let differs = messages != snapshot.1.len() as u64;
        // Something came or went meanwhile, or is just being written.
        if differs && inbox()? == counted && !index.counts_what_it_lists(account, INBOX)? {
            return Err(index.differs());
        }
        Ok(snapshot)
    };
    let listed = kit::task::blocking(list).await.map_err(Unready::from)?;
    Ok(listed.map_err(Unready::from)?)
}

/// The POP3 unique-id of a message: what a move recorded, or UIDVALIDITY and UID.
pub fn uidl(uid_validity: u32, uid: u32, recorded: &str) -> String {
    match recorded.is_empty() {
        true => format!("{uid_validity}.{uid}"),
        false => recorded.to_owned(),
    }
}
