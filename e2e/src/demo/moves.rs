//! Moving many accounts, through a crash if need be.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::population::{Homes, homes};
use super::steps::Step;
use super::traffic::Traffic;
use crate::site::Site;

/// For all moves of one call together: each is a matter of a second, and shards limit how many run
/// at once.
const LIMIT: Duration = Duration::from_secs(300);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// So many messages between 354 and answer make the kill worth watching.
const UNDER_WAY: usize = 3;

/// How long so many are waited for: a small machine may never have them.
const HURRY: Duration = Duration::from_secs(3);

/// Moves each account to its target; how many are there in the end.
pub(super) async fn all(step: &Step, site: &Site, targets: &[(String, String)]) -> Result<usize> {
    ask_for(site, targets)?;
    rest(step, site, targets).await
}

/// Asks for all and waits for half.
pub(super) async fn half(step: &Step, site: &Site, targets: &[(String, String)]) -> Result<usize> {
    ask_for(site, targets)?;
    until(step, site, targets, targets.len() / 2).await
}

/// What is still to come after a crash.
pub(super) async fn rest(step: &Step, site: &Site, targets: &[(String, String)]) -> Result<usize> {
    until(step, site, targets, targets.len()).await
}

/// `kill -9` while messages are under way, and a restart.
pub(super) async fn kill(step: &Step, site: &mut Site, traffic: &Traffic) -> Result<()> {
    let under_way = busy(traffic).await;
    site.kill()?;
    traffic.hurry(false);
    step.is(&format!("{under_way} messages were under way"));
    site.start_again().await
}

/// Waits until messages are under way; how many.
async fn busy(traffic: &Traffic) -> usize {
    let began = Instant::now();
    traffic.hurry(true);
    loop {
        let under_way = traffic.under_way();
        if under_way >= UNDER_WAY || began.elapsed() > HURRY {
            return under_way;
        }
        // As short as a message is under way.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asks for a move of every account that is not yet at its target. A move that is open already is
/// as good as a new one; other refusals show when nothing comes of them.
fn ask_for(site: &Site, targets: &[(String, String)]) -> Result<()> {
    let homes = homes(site)?;
    for (address, shard) in missing(&homes, targets) {
        site.buzonera(&["move", address, shard, "--no-wait"], "")?;
    }
    Ok(())
}

fn missing<'t>(
    homes: &Homes,
    targets: &'t [(String, String)],
) -> impl Iterator<Item = &'t (String, String)> {
    let away = |target: &&(String, String)| homes.of(&target.0) != Some(target.1.as_str());
    targets.iter().filter(away).collect::<Vec<_>>().into_iter()
}

/// Waits until so many are at their targets. Moves that a crash aborted are asked for again.
async fn until(
    step: &Step,
    site: &Site,
    targets: &[(String, String)],
    enough: usize,
) -> Result<usize> {
    let began = Instant::now();
    loop {
        let open = open(site);
        let there = targets.len() - missing(&homes(site)?, targets).count();
        step.is(&format!("{there} of {}", targets.len()));
        let all_over = matches!(open, Ok(0));
        if there >= enough && (all_over || enough < targets.len()) {
            return Ok(there);
        }
        if all_over {
            ask_for(site, targets)?;
        }
        if began.elapsed() > LIMIT {
            bail!(
                "after {} s only {there} of {enough} have moved",
                LIMIT.as_secs()
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How many moves are under way.
fn open(site: &Site) -> Result<usize> {
    let list = site.ask(&["moves", "--open"], "")?;
    Ok(list.as_array().map_or(0, Vec::len))
}
