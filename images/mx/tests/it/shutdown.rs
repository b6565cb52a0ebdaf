//! A stopping MX finishes what it began.

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
