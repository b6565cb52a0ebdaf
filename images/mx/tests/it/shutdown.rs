//! A stopping MX finishes what it began.

use std::time::{Duration, Instant};

use crate::harness::World;

#[tokio::test]
async fn idle_sessions_go_and_transactions_end_first() {
    let world = World::new().await;
    world.account("a@ours.example", 0);
    let mut idle = world.client().await;
    let mut busy = world.client().await;
    busy.ask("MAIL FROM:<>", "250").await;
    busy.ask("RCPT TO:<a@ours.example>", "250").await;
    world.shutdown.trigger();
    idle.expect("421 4.3.2").await;
    idle.expect_end().await;
    busy.ask("DATA", "354").await;
    busy.send("Subject: a\r\n\r\n.\r\n").await;
    busy.expect("250 2.0.0 id=").await;
    busy.expect("421 4.3.2").await;
    busy.expect_end().await;
    assert_eq!(world.shards[0].kept().len(), 1);
}

#[tokio::test]
async fn a_slow_sender_is_cut_at_the_deadline() {
    const DRAIN: Duration = Duration::from_millis(300);
    let mut world = World::new().await;
    world.drain = DRAIN;
    world.restart().await;
    world.account("a@ours.example", 0);
    let mut slow = world.client().await;
    slow.ask("MAIL FROM:<>", "250").await;
    slow.ask("RCPT TO:<a@ours.example>", "250").await;
    slow.ask("DATA", "354").await;
    let asked = Instant::now();
    world.shutdown.trigger();
    slow.drip_until_closed().await;
    assert!(asked.elapsed() >= DRAIN);
    world.ended().await;
    let cut = world.shutdown.drained().await.unwrap_err();
    assert_eq!(cut.cut.get("mail sessions"), Some(&1), "{cut}");
    assert!(world.shards[0].kept().is_empty());
}
