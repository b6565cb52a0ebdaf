//! Puts an export's parts together and checks them. Pure.

use bytes::Bytes;
use prost::Message as _;
use ring::digest::{Context, SHA256};
use wire::ids::{AccountId, DeliveryId};
use wire::rpc::export_part::Part;
use wire::rpc::{
    ExportAccount, ExportDeliveries, ExportEnd, ExportMailbox, ExportMessage, ExportPart,
};

use crate::records::proto::{ImportFinished, Limits, MailboxImported, Remembered};
use crate::records::{BodySums, Imported, proto};

/// Largest chunk of a body.
const MAX_CHUNK: usize = 256 << 10;

/// Largest prefix and body of a message: what one record of the heap takes, with room for its head.
const MAX_MESSAGE: u64 = 72 << 20;

/// Longest mailbox name and flag.
const MAX_TEXT: usize = 4096;

/// Longest recorded unique-id (RFC 1939 section 7).
const MAX_UIDL: usize = 70;

/// Most flags of a message.
const MAX_FLAGS: usize = 1000;

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misfit(pub(super) &'static str);

/// What parts come to.
#[derive(Debug)]
pub(super) enum Piece {
    Account {
        messages: u64,
        octets: u64,
    },
    Mailbox(MailboxImported),
    Message(Message),
    Deliveries(proto::DeliveriesImported),
    /// Without what the fence answered.
    End(ImportFinished),
}

/// One whole message; its account is not filled in.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) imported: Imported,
    pub(super) prefix: Bytes,
    pub(super) body: Vec<Bytes>,
}

impl Message {
    pub(super) fn octets(&self) -> u64 {
        self.prefix.len() as u64 + self.imported.body_length
    }
}

/// Takes parts in the order in which they are sent.
#[derive(Default)]
pub(super) struct Assembler {
    account: Option<ExportAccount>,
    mailbox: Option<(u32, u32)>,
    message: Option<Open>,
    taken: ExportEnd,
    ended: bool,
}

struct Open {
    head: ExportMessage,
    body: Vec<Bytes>,
    length: u64,
    sums: BodySums,
    sha256: Context,
}

impl Assembler {
    pub(super) fn take(&mut self, part: ExportPart) -> Result<Option<Piece>, Misfit> {
        if self.ended {
            return Err(Misfit("a part after the end"));
        }
        match part.part.ok_or(Misfit("an empty part"))? {
            Part::Account(account) if self.account.is_none() => Ok(Some(self.account(account))),
            Part::Account(_) => Err(Misfit("a second account")),
            _ if self.account.is_none() => Err(Misfit("the account does not come first")),
            Part::Body(chunk) => self.body(chunk),
            _ if self.message.is_some() => Err(Misfit("a body is cut short")),
            Part::Mailbox(mailbox) => self.mailbox(mailbox).map(Some),
            Part::Message(head) => self.message(head),
            Part::Deliveries(deliveries) => deliveries_of(&deliveries).map(Some),
            Part::End(end) => self.end(&end).map(Some),
        }
    }

    fn account(&mut self, account: ExportAccount) -> Piece {
        let piece = Piece::Account {
            messages: account.messages,
            octets: account.bytes,
        };
        self.account = Some(account);
        piece
    }

    fn mailbox(&mut self, mailbox: ExportMailbox) -> Result<Piece, Misfit> {
        if self
            .mailbox
            .is_some_and(|(number, _)| mailbox.mailbox <= number)
        {
            return Err(Misfit("mailboxes do not ascend"));
        }
        if mailbox.name.len() > MAX_TEXT {
            return Err(Misfit("a mailbox name is too long"));
        }
        self.mailbox = Some((mailbox.mailbox, 0));
        Ok(Piece::Mailbox(MailboxImported {
            mailbox: mailbox.mailbox,
            name: mailbox.name,
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
            subscribed: mailbox.subscribed,
        }))
    }

    fn message(&mut self, head: ExportMessage) -> Result<Option<Piece>, Misfit> {
        match self.mailbox {
            Some((number, last)) if number == head.mailbox && head.uid > last => {
                self.mailbox = Some((number, head.uid));
            }
            _ => return Err(Misfit("UIDs do not ascend in the mailbox last named")),
        }
        if head.body_size.saturating_add(head.prefix.len() as u64) > MAX_MESSAGE {
            return Err(Misfit("a message is too large"));
        }
        if head.flags.len() > MAX_FLAGS || head.flags.iter().any(|flag| flag.len() > MAX_TEXT) {
            return Err(Misfit("flags are too many or too long"));
        }
        // RFC 1939 section 7; it is sent to mail clients as it is.
        if head.uidl.len() > MAX_UIDL || !head.uidl.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Misfit("a unique-id is not of 70 printable octets at most"));
        }
        let open = Open {
            head,
            body: Vec::new(),
            length: 0,
            sums: BodySums::default(),
            sha256: Context::new(&SHA256),
        };
        match open.head.body_size {
            0 => self.close(open),
            _ => {
                self.message = Some(open);
                Ok(None)
            }
        }
    }

    fn body(&mut self, chunk: Bytes) -> Result<Option<Piece>, Misfit> {
        let mut open = self.message.take().ok_or(Misfit("a body of no message"))?;
        if chunk.is_empty() || chunk.len() > MAX_CHUNK {
            return Err(Misfit("a chunk has no octets, or too many"));
        }
        open.length += chunk.len() as u64;
        if open.length > open.head.body_size {
            return Err(Misfit("a body is longer than its head says"));
        }
        open.sums.add(&chunk);
        open.sha256.update(&chunk);
        open.body.push(chunk);
        match open.length == open.head.body_size {
            true => self.close(open),
            false => {
                self.message = Some(open);
                Ok(None)
            }
        }
    }

    fn close(&mut self, open: Open) -> Result<Option<Piece>, Misfit> {
        let Open {
            head,
            body,
            length,
            sums,
            sha256,
        } = open;
        if sha256.finish().as_ref() != head.body_sha256.as_ref() {
            return Err(Misfit("a body has another SHA-256 than at the source"));
        }
        self.taken.messages += 1;
        self.taken.bytes += length + head.prefix.len() as u64;
        let imported = Imported {
            account: AccountId::from_bytes([0; 16]),
            mailbox: head.mailbox,
            uid: head.uid,
            modseq: head.modseq,
            flags: head.flags,
            internal_date_ms: head.internal_date_ms,
            prefix_length: u32::try_from(head.prefix.len()).unwrap_or(u32::MAX),
            body_length: length,
            body_sums: sums.finish(),
            uidl: head.uidl,
        };
        let prefix = head.prefix;
        Ok(Some(Piece::Message(Message {
            imported,
            prefix,
            body,
        })))
    }

    fn end(&mut self, end: &ExportEnd) -> Result<Piece, Misfit> {
        let account = self.account.as_ref().ok_or(Misfit("no account"))?;
        let announced = (account.messages, account.bytes);
        if *end != self.taken || announced != (end.messages, end.bytes) {
            return Err(Misfit("counts of messages or octets differ"));
        }
        self.ended = true;
        let quota = account.quota.unwrap_or_default();
        Ok(Piece::End(ImportFinished {
            highest_modseq: account.highest_modseq,
            next_uid_validity: account.next_uid_validity,
            limits: Some(Limits {
                bytes: quota.bytes,
                messages: quota.messages,
            }),
            source_incarnation: 0,
            change_number: 0,
        }))
    }
}

fn deliveries_of(deliveries: &ExportDeliveries) -> Result<Piece, Misfit> {
    let mut remembered = Vec::with_capacity(deliveries.deliveries.len());
    for delivery in &deliveries.deliveries {
        if DeliveryId::from_slice(&delivery.delivery_id).is_err() {
            return Err(Misfit("a delivery id has not 16 octets"));
        }
        remembered.push(Remembered {
            delivery_id: delivery.delivery_id.clone(),
            stored_at_ms: delivery.delivered_at_ms,
            uid_validity: delivery.uid_validity,
            uid: delivery.uid,
        });
    }
    Ok(Piece::Deliveries(proto::DeliveriesImported {
        deliveries: remembered,
    }))
}

/// Feeds any octets as an export: parts with their lengths before them. What is taken is whole.
pub(in crate::moves) fn fuzz(mut data: &[u8]) {
    let mut assembler = Assembler::default();
    while let Ok(part) = ExportPart::decode_length_delimited(&mut data) {
        match assembler.take(part) {
            Ok(Some(Piece::Message(message))) => {
                let body: usize = message.body.iter().map(Bytes::len).sum();
                assert_eq!(body as u64, message.imported.body_length);
                assert!(message.octets() <= MAX_MESSAGE);
            }
            Ok(_) => {}
            Err(_) => return,
        }
        if data.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
