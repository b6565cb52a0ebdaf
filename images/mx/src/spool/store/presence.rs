//! Whether shards are there, as clients' messages and the directory tell.

use std::time::Duration;

use tokio::sync::watch;
use wire::ids::ShardName;

use crate::spool::queue::{Gate, NoAnswer, Round, Word};
use crate::spool::store::{Inside, Spool};

/// Targets that are made due in one go, while nobody else gets at the queue.
const BATCH: usize = 1000;

impl Spool {
    /// Whether a client's message may go to the shard now; for one that refuses it would wait so
    /// long from the beginning of its absence.
    pub fn gate(&self, shard: &ShardName, patience: Duration) -> Gate {
        let now = self.inner.clock.now();
        let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        self.lock().away.gate(shard, patience, now)
    }

    /// Whether mail for the shard waits here, so that it is probed whenever it is away.
    pub fn is_pending(&self, shard: &ShardName) -> bool {
        self.lock().queue.is_pending(shard)
    }

    /// Whether the shard does not answer.
    pub fn is_away(&self, shard: &ShardName) -> bool {
        self.lock().away.until(shard).is_some()
    }

    /// Where the directory says that the shard is called.
    pub fn endpoint(&self, shard: &ShardName) -> Option<String> {
        self.lock().away.endpoint(shard).map(str::to_owned)
    }

    /// Says when a shard that was away is there again.
    pub fn returns(&self) -> watch::Receiver<u64> {
        self.inner.returns.subscribe()
    }

    /// A client's message got no answer from its shard; none: it was not the one that it began for.
    pub fn note_absence(
        &self,
        shard: &ShardName,
        (round, how): (Option<Round>, NoAnswer),
        reason: &str,
    ) {
        let now_ms = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let mut state = self.lock();
        let round = round.unwrap_or_else(|| state.away.round(shard));
        self.absent(&mut state, shard, (round, how), reason, (now_ms, chance));
    }

    /// The shard took a client's message.
    pub fn note_presence(&self, shard: &ShardName) {
        self.present(&mut self.lock(), shard);
        self.inner.changed.notify_one();
    }

    /// The directory's word on a shard. One that serves anew gets all its mail at once, after
    /// `forget` has closed what led to the one before.
    pub fn heard(&self, shard: &ShardName, word: Word, forget: impl FnOnce()) {
        let incarnation = word.incarnation;
        let mut state = self.lock();
        let was_away = state.away.until(shard).is_some();
        if !state.away.heard(shard, word) {
            return;
        }
        forget();
        drop(state);
        tracing::info!(%shard, %incarnation, was_away, "a shard serves");
        self.tell_return();
        self.hasten(shard);
    }

    /// The directory was not heard for a while: shards that are away may have come back meanwhile.
    pub fn probe_all(&self) {
        let now = self.inner.clock.now();
        self.lock().away.hurry_all(now);
        self.inner.changed.notify_one();
        self.tell_return();
    }

    /// Whatever kept mail from the shard before, it is tried again now.
    fn hasten(&self, shard: &ShardName) {
        let now = self.inner.clock.now();
        while self.lock().queue.bring_forward(shard, now, BATCH) == BATCH {}
        self.inner.changed.notify_one();
    }

    /// An attempt was answered.
    pub(super) fn present(&self, state: &mut Inside, shard: &ShardName) {
        if state.away.answered(shard) {
            tracing::info!(%shard, "a shard answers again");
            self.tell_return();
        }
    }

    /// True if the shard's absence is news.
    pub(super) fn absent(
        &self,
        state: &mut Inside,
        shard: &ShardName,
        (round, how): (Round, NoAnswer),
        reason: &str,
        at: (i64, f64),
    ) -> bool {
        let first = state.away.until(shard).is_none();
        let schedule = self.inner.config.schedule();
        let news = state.away.failed(shard, (round, how), &schedule, at);
        if news && first {
            tracing::warn!(%shard, reason, "a shard is out of reach");
        }
        news
    }

    fn tell_return(&self) {
        self.inner.returns.send_modify(|count| *count += 1);
    }
}
