//! A body on its way in: decoded, hashed, looked at and kept in one pass.

use std::sync::Arc;

use ::wire::delivery_id::DeliveryHasher;
use ::wire::ids::DeliveryId;
use ::wire::smtp::{Content, HeaderScanner, Progress, ReversePath};

use crate::body::{Body, BodyStore, BodyWriter};
use crate::session::{BodySummary, Kept};

/// One message's body as it comes.
pub(super) struct Intake {
    content: Content,
    scanner: HeaderScanner,
    hasher: DeliveryHasher,
    writer: BodyWriter,
    /// Octets that are kept at most; more is read and dropped.
    limit: u64,
}

/// What came in.
pub(super) struct Taken {
    pub(super) summary: BodySummary,
    /// The body with our Received header; none when it was not kept.
    pub(super) body: Option<Body>,
    pub(super) delivery: DeliveryId,
    pub(super) message_id: Option<String>,
}

impl Intake {
    /// `received` is the header that the kept message starts with; `expected` its likely size.
    pub(super) fn new(
        content: Content,
        from: &ReversePath,
        received: &str,
        store: Arc<BodyStore>,
        (limit, expected): (u64, u64),
    ) -> Self {
        let expected = usize::try_from(expected.min(limit)).unwrap_or(0) + received.len();
        let mut writer = BodyWriter::new(store, expected);
        writer.push(received.as_bytes());
        let (scanner, hasher) = (HeaderScanner::default(), DeliveryHasher::new(from));
        Self {
            content,
            scanner,
            hasher,
            writer,
            limit,
        }
    }

    /// Octets of content so far.
    pub(super) fn octets(&self) -> u64 {
        self.content.octets()
    }

    /// Takes what was read.
    pub(super) async fn take(&mut self, input: &[u8]) -> Progress {
        let mut room = (self.limit + 1).saturating_sub(self.content.octets());
        let Self {
            content,
            scanner,
            hasher,
            writer,
            ..
        } = self;
        let progress = content.decode(input, &mut |part| {
            keep(part, &mut room, scanner, hasher, writer);
        });
        self.settle().await;
        progress
    }

    async fn settle(&mut self) {
        if self.content.octets() > self.limit {
            self.writer.give_up();
        }
        self.writer.settle().await;
    }

    /// Whether everything so far was kept.
    pub(super) fn is_kept(&self) -> bool {
        !self.writer.has_given_up()
    }

    /// The body is whole.
    pub(super) async fn finish(mut self) -> Taken {
        let mut room = u64::MAX;
        let Self {
            content,
            scanner,
            hasher,
            writer,
            ..
        } = &mut self;
        let flaws = content.finish(&mut |part| keep(part, &mut room, scanner, hasher, writer));
        self.scanner.finish(&mut |part| self.writer.push(part));
        let message_id = self.scanner.message_id();
        let delivery = self.hasher.finish(message_id.is_some());
        let (octets, received) = (self.content.octets(), self.scanner.received());
        let body = self.writer.finish().await;
        let kept = if body.is_some() {
            Kept::Whole
        } else {
            Kept::NoRoom
        };
        let summary = BodySummary {
            octets,
            flaws,
            received,
            kept,
        };
        Taken {
            summary,
            body,
            delivery,
            message_id,
        }
    }
}

/// Keeps a part unless it goes beyond the limit: `room` is one octet more than may come.
fn keep(
    part: &[u8],
    room: &mut u64,
    scanner: &mut HeaderScanner,
    hasher: &mut DeliveryHasher,
    writer: &mut BodyWriter,
) {
    *room = room.saturating_sub(part.len() as u64);
    if *room == 0 {
        return;
    }
    hasher.update(part);
    scanner.scan(part, &mut |kept| writer.push(kept));
}
