//! A shard that dies while it recovers: its last word stays, and grows old.

use super::{Stage, recovers};
use crate::world::until;

/// One that lives says something every three seconds.
const SILENCE_MS: u64 = 8_000;

#[tokio::test(flavor = "multi_thread")]
async fn its_word_grows_old() {
    let stage = Stage::new().await;
    let run = stage.start().await;
    let last = until("it recovers", || async { recovers(&stage.shown().await) }).await;
    run.serving.abort();
    assert!(run.serving.await.unwrap_err().is_cancelled());
    let old = until("its word is old", || async {
        let shown = stage.shown().await;
        (shown.opening_age_ms? > SILENCE_MS).then_some(shown)
    })
    .await;
    assert!(recovers(&old).unwrap().percent >= last.percent);
    assert!(!old.live);
    assert!(stage.listed().await.opening_age_ms.unwrap() > SILENCE_MS);
}
