//! The copy, and the comparison of both sides after it.

use wire::ids::Incarnation;
use wire::rpc::{DigestReply, ImportProgress, ImportRequest};

use super::World;
use super::command::{Copying, command};
use super::facts::{Evidence, Fence, Progress};
use super::look::Sight;
use super::plan::Failure;
use super::transition::{MoveAt, rewrite};
use super::turn::{Mover, StepError, Turned};

impl<W: World> Mover<W> {
    /// `sight` goes along with the copy, so that a failure is judged by how far it came.
    pub(super) async fn copy(&self, sight: &mut Sight, fence: Fence) -> Result<Turned, StepError> {
        let (source, target) = (self.peer(&sight.source)?, self.peer(&sight.target)?);
        let current = &mut sight.current;
        let command = command(&current.facts);
        let request = ImportRequest {
            command: Some(command.clone()),
            source_endpoint: source.shard.record.rpc_endpoint.clone(),
            source_incarnation: fence.incarnation.0,
            change_number: fence.change_number,
            bytes_per_second: self.world.limits().bytes_per_second,
        };
        self.watch_copy(current, target.import(request).await?)
            .await?;
        let at_source = source.digest(command.clone()).await?;
        let at_target = target.digest(command).await?;
        let evidence = compare(fence, &at_source, &at_target)?;
        let progress = Progress {
            messages: at_target.messages,
            bytes: at_target.bytes,
            total_messages: at_source.messages,
            total_bytes: at_source.bytes,
        };
        let now_ms = self.world.now_ms();
        let verified = current.facts.verified(evidence, progress, now_ms);
        self.commit(rewrite(current, &verified)).await?;
        Ok(Turned::Entered)
    }

    /// Reads the copy's reports to the end and writes the progress now and then, which also shows
    /// an abort that came in between.
    async fn watch_copy(
        &self,
        current: &mut MoveAt,
        mut copying: Copying<'_>,
    ) -> Result<(), StepError> {
        let mut written_ms = self.world.now_ms();
        loop {
            let report = copying.report().await?;
            let now_ms = self.world.now_ms();
            current.facts = current.facts.copied(progress(&report), now_ms);
            if report.complete {
                return Ok(());
            }
            if now_ms - written_ms < PROGRESS_MS {
                continue;
            }
            written_ms = now_ms;
            current.revision = self.commit(rewrite(current, &current.facts)).await?;
        }
    }
}

/// How often a copy's progress is written, in milliseconds: often enough to watch it.
const PROGRESS_MS: i64 = 1_000;

fn progress(report: &ImportProgress) -> Progress {
    Progress {
        messages: report.messages,
        bytes: report.bytes,
        total_messages: report.total_messages,
        total_bytes: report.total_bytes,
    }
}

/// Both sides have the same, and the source is still the one that was fenced.
fn compare(fence: Fence, source: &DigestReply, target: &DigestReply) -> Result<Evidence, Failure> {
    if source.incarnation != fence.incarnation.0 {
        return Err(Failure::OtherIncarnation(
            "the source started again".to_owned(),
        ));
    }
    if source.digest.is_empty() || source.digest != target.digest {
        return Err(Failure::DigestsDiffer);
    }
    Ok(Evidence {
        target_incarnation: Incarnation(target.incarnation),
        digest: source.digest.to_vec(),
    })
}
