//! The source's part of the copy: the whole account, as of the fence, in canonical order.

use ring::digest::{self, Context, SHA256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use wire::ids::AccountId;
use wire::rpc::export_part::Part;
use wire::rpc::{
    ExportAccount, ExportDeliveries, ExportEnd, ExportMailbox, ExportMessage, ExportPart,
    ExportRequest, Quota, RememberedDelivery,
};

use super::{CopyError, MoverService, Parsed, is_fenced};
use crate::account::{Account, Mailbox};
use crate::index::IndexError;
use crate::records::proto::MessageRow;
use crate::shard::Shard;
use crate::shard::body::{BodyError, StoredMessage};

/// Parts that wait for the network: at most 2 MiB of bodies.
const AHEAD: usize = 8;

/// Deliveries in one part.
const DELIVERIES: usize = 1000;

type Sender = mpsc::Sender<Result<ExportPart, Status>>;

/// Starts to send; what is sent is from the fence of this very move.
pub(super) async fn start(
    service: &MoverService,
    parsed: Parsed,
    request: &ExportRequest,
) -> Result<ReceiverStream<Result<ExportPart, Status>>, Status> {
    let incarnation = service.shard.incarnation().0;
    let wanted = (request.source_incarnation, request.change_number);
    let check = move |account: &Account| {
        is_fenced(account, &parsed)?;
        let found = (incarnation, account.highest_modseq);
        match found == wanted {
            true => Ok(()),
            false => Err(format!(
                "asked for incarnation and change number {wanted:?}, found {found:?}: fence again"
            )),
        }
    };
    let id = request
        .command
        .as_ref()
        .map(|command| AccountId::from_slice(&command.account));
    let Some(Ok(id)) = id else {
        return Err(Status::invalid_argument("an export names an account"));
    };
    let account = service.settled(id, check.clone()).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let service = service.clone();
    tokio::spawn(async move {
        let _place = service.exports.acquire().await;
        let shard = service.shard.clone();
        let export = Export {
            shard,
            id,
            account,
            sender: sender.clone(),
            sent: ExportEnd::default(),
        };
        let sent = match kit::task::blocking(move || export.run()).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(Stop::Copy(error))) => {
                let _ = sender.send(Err(error.into())).await;
                return;
            }
            // The target hung up.
            Ok(Err(Stop::HungUp)) => return,
            Err(no_answer) => {
                let _ = sender.send(Err(no_answer.into())).await;
                return;
            }
        };
        // Still fenced: what was sent is what there is.
        let end = service
            .settled(id, check)
            .await
            .map(|_| part(Part::End(sent)));
        let _ = sender.send(end).await;
    });
    Ok(ReceiverStream::new(receiver))
}

enum Stop {
    Copy(CopyError),
    HungUp,
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Self::Copy(error.into())
    }
}

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        Self::Copy(error.into())
    }
}

struct Export {
    shard: Shard,
    id: AccountId,
    account: Account,
    sender: Sender,
    sent: ExportEnd,
}

impl Export {
    /// Sends everything but the end; blocks.
    fn run(mut self) -> Result<ExportEnd, Stop> {
        let usage = self.account.usage();
        self.send(Part::Account(ExportAccount {
            change_number: self.account.highest_modseq,
            highest_modseq: self.account.highest_modseq,
            next_uid_validity: self.account.next_uid_validity,
            messages: usage.messages,
            bytes: usage.octets,
            quota: Some(Quota {
                bytes: self.account.limits.bytes,
                messages: self.account.limits.messages,
            }),
        }))?;
        for (number, mailbox) in std::mem::take(&mut self.account.mailboxes) {
            self.mailbox(number, mailbox)?;
        }
        self.deliveries()?;
        Ok(self.sent)
    }

    fn mailbox(&mut self, number: u32, mailbox: Mailbox) -> Result<(), Stop> {
        self.send(Part::Mailbox(ExportMailbox {
            mailbox: number,
            name: mailbox.name,
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
            subscribed: mailbox.subscribed,
        }))?;
        for message in self.shard.index().messages(self.id, number, 0) {
            let (uid, row) = message?;
            self.message(number, uid, row)?;
        }
        Ok(())
    }

    fn message(&mut self, mailbox: u32, uid: u32, row: MessageRow) -> Result<(), Stop> {
        let mut stored = StoredMessage::new(self.shard.log().clone(), row.clone().into());
        let sum = body_sha256(&mut stored)?;
        self.send(Part::Message(ExportMessage {
            mailbox,
            uid,
            modseq: row.modseq,
            flags: row.flags,
            internal_date_ms: row.internal_date_ms,
            prefix: stored.prefix()?,
            body_size: row.body_length,
            body_sha256: bytes::Bytes::copy_from_slice(sum.as_ref()),
            uidl: row.uidl,
            delivery_id: bytes::Bytes::new(),
        }))?;
        let mut offset = 0;
        while offset < row.body_length {
            let piece = stored.body(offset)?;
            offset += piece.len() as u64;
            self.send(Part::Body(piece))?;
        }
        self.sent.messages += 1;
        self.sent.bytes += stored.size();
        Ok(())
    }

    fn deliveries(&self) -> Result<(), Stop> {
        let mut part = ExportDeliveries::default();
        for delivery in self.shard.index().deliveries(self.id) {
            let (delivery, row) = delivery?;
            part.deliveries.push(RememberedDelivery {
                delivery_id: delivery.to_field(),
                delivered_at_ms: row.stored_at_ms,
                uid_validity: row.uid_validity,
                uid: row.uid,
            });
            if part.deliveries.len() == DELIVERIES {
                self.send(Part::Deliveries(std::mem::take(&mut part)))?;
            }
        }
        match part.deliveries.is_empty() {
            true => Ok(()),
            false => self.send(Part::Deliveries(part)),
        }
    }

    fn send(&self, what: Part) -> Result<(), Stop> {
        let sent = self.sender.blocking_send(Ok(part(what)));
        sent.map_err(|_| Stop::HungUp)
    }
}

fn part(part: Part) -> ExportPart {
    ExportPart { part: Some(part) }
}

/// The body's SHA-256, read piece by piece.
fn body_sha256(stored: &mut StoredMessage) -> Result<digest::Digest, BodyError> {
    let mut sum = Context::new(&SHA256);
    let mut offset = 0;
    loop {
        let piece = stored.body(offset)?;
        if piece.is_empty() {
            return Ok(sum.finish());
        }
        sum.update(&piece);
        offset += piece.len() as u64;
    }
}
