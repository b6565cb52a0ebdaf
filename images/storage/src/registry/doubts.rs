//! Asks the directory whose an account is that readers want and a move has fenced.

use std::time::Duration;

use futures::StreamExt as _;
use kit::rpc::DirectoryClient;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};
use wire::rpc::{LocateReply, LocateRequest};

use super::reconcile::Word;
use crate::account::access::Assigned;
use crate::shard::{Doubt, Shard};

/// Questions at a time.
const AT_ONCE: usize = 32;

/// How long one replica may take: its proof takes a second at most.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Each goes to another replica; a reader waits no longer than they take.
const ATTEMPTS: usize = 3;

/// Answers the shard's doubts for ever.
pub async fn answer(shard: Shard, directory: DirectoryClient) {
    let Some(doubts) = shard.doubts() else {
        return;
    };
    let (shard, directory) = (&shard, &directory);
    let answers = ReceiverStream::new(doubts);
    answers
        .for_each_concurrent(AT_ONCE, |doubt| answer_one(shard, directory, doubt))
        .await;
}

async fn answer_one(shard: &Shard, directory: &DirectoryClient, doubt: Doubt) {
    for _ in 0..ATTEMPTS {
        match locate(shard, directory, &doubt).await {
            Ok(reply) => {
                if let Some(assigned) = read(shard, &reply) {
                    // The reader may be gone.
                    let _ = doubt.answer.send(assigned);
                }
                return;
            }
            Err(status) => {
                tracing::debug!(account = %doubt.account, %status, "the directory does not say where it is");
            }
        }
    }
    tracing::warn!(account = %doubt.account, "no replica of the directory proves where it is");
}

async fn locate(
    shard: &Shard,
    directory: &DirectoryClient,
    doubt: &Doubt,
) -> Result<LocateReply, Status> {
    let mut request = Request::new(LocateRequest {
        incarnation: shard.incarnation().0,
        account: doubt.account.to_field(),
    });
    request.set_timeout(PATIENCE);
    let reply = directory.registry().locate(request).await?;
    Ok(reply.into_inner())
}

/// What requests go by from now on; the outer `None`: it cannot be read.
fn read(shard: &Shard, reply: &LocateReply) -> Option<Option<Assigned>> {
    let Some(entry) = &reply.entry else {
        return Some(None);
    };
    match Word::read(entry, shard.name()) {
        Ok(word) => {
            shard.assign(word.account, word.assigned());
            Some(Some(word.assigned()))
        }
        Err(error) => {
            shard.metrics().faults.inc();
            tracing::error!(%error, "an entry of the directory cannot be read");
            None
        }
    }
}
