//! A shard whose index is rebuilt says how far that is, until it has its lease.

use wire::rpc::Recovers;

use super::{Stage, recovers};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn how_far_it_is_and_how_long_it_takes() {
    let stage = Stage::new().await;
    let run = stage.start().await;
    let Recovers {
        percent,
        minutes_left,
    } = until("the time left is told", || async {
        recovers(&stage.shown().await).filter(|recovers| recovers.minutes_left.is_some())
    })
    .await;
    assert!((1..100).contains(&percent), "{percent}");
    let listed = stage.listed().await;
    assert_eq!(recovers(&listed).unwrap().percent, percent);
    assert!(listed.opening_age_ms.is_some());

    // It says the same of itself, and is ready to be asked.
    let said = run.admin.readiness.remarks().join("\n");
    let expected = format!("the volume recovers: {percent} %, ");
    assert!(said.contains(&expected) && minutes_left.is_some(), "{said}");
    assert!(run.admin.readiness.is_ready());
    let gauge = |percent| format!("opening_percent{{instance=\"shard-1\"}} {percent}\n");
    let counted = run.admin.metrics.text();
    assert!(counted.contains(&gauge(percent)), "{counted}");

    stage.gate.open();
    until("the shard serves", || async {
        stage.shown().await.serving.then_some(())
    })
    .await;
    let serves = stage.shown().await;
    assert_eq!((serves.opening, serves.opening_age_ms), (None, None));
    assert!(run.admin.readiness.remarks().is_empty());
    assert!(run.admin.metrics.text().contains(&gauge(100)));
    run.shutdown.trigger_now();
    run.serving.await.unwrap().unwrap();
}
