//! Another number of shards, until every account is where it is to be.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::open_moves::OpenMoves;
use crate::demo::steps::Step;
use crate::kubernetes::Platform;
use crate::kubernetes::platform::Condition;

/// Shards that are uneven are looked at for a minute before anything moves.
const LIMIT: Duration = Duration::from_secs(400);

/// Between two looks: the directory keeps a move for much longer than that.
const PAUSE: Duration = Duration::from_millis(1000);

/// The shard that comes and goes.
const THIRD: &str = "example-2";

/// To three shards; how many accounts came to the third.
pub(super) async fn up(step: &Step, platform: &Platform, moves: &mut OpenMoves) -> Result<usize> {
    platform.scale(3)?;
    until(step, platform, moves, |cluster, moves| {
        is_ready(cluster) && is_even(cluster) && moves.arrived_at(THIRD) > 0
    })
    .await?;
    Ok(moves.arrived_at(THIRD))
}

/// To two shards; how many accounts left the third.
pub(super) async fn down(step: &Step, platform: &Platform, moves: &mut OpenMoves) -> Result<usize> {
    platform.scale(2)?;
    until(step, platform, moves, |cluster, _| {
        is_ready(cluster) && cluster["status"]["shards"] == 2
    })
    .await?;
    Ok(moves.left(THIRD))
}

async fn until(
    step: &Step,
    platform: &Platform,
    moves: &mut OpenMoves,
    is_so: impl Fn(&Value, &OpenMoves) -> bool,
) -> Result<()> {
    let began = Instant::now();
    loop {
        moves.see(&platform.ask(&["moves"], "")?)?;
        let cluster = platform.look()?;
        let (came, went) = (moves.arrived_at(THIRD), moves.left(THIRD));
        step.is(&match went {
            0 => format!(
                "{came} accounts came to {THIRD}, {} moves open",
                moves.open()
            ),
            _ => format!("{went} accounts left {THIRD}, {} moves open", moves.open()),
        });
        if moves.open() == 0 && is_so(&cluster, moves) {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            bail!("not so after {} s: {}", LIMIT.as_secs(), cluster["status"]);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_ready(cluster: &Value) -> bool {
    Condition::of(cluster, "Ready").is_ok_and(|condition| condition.is("True"))
}

/// Whether nothing more is to move: loads are even, or what would still make them so has just moved, or
/// is too large.
fn is_even(cluster: &Value) -> bool {
    let settled = ["Balanced", "RecentlyMoved", "AccountsTooLarge"];
    let condition = Condition::of(cluster, "Rebalancing");
    condition.is_ok_and(|condition| settled.contains(&condition.reason()))
}
