//! Moving many accounts, through a crash if need be.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::population::{Homes, homes};
use crate::say;
use crate::site::Site;

/// For all moves of one call together: each is a matter of a second, and shards limit how many run
/// at once.
const LIMIT: Duration = Duration::from_secs(300);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// Moves each account to its target; how many are there in the end.
pub(super) async fn all(site: &Site, targets: &[(String, String)]) -> Result<usize> {
    ask_for(site, targets)?;
    until(site, targets, targets.len()).await
}

/// The same, with a `kill -9` of everything and a restart when about half have moved.
pub(super) async fn with_a_kill(site: &mut Site, targets: &[(String, String)]) -> Result<usize> {
    ask_for(site, targets)?;
    let moved = until(site, targets, targets.len() / 2).await?;
    site.kill()?;
    say::part(&format!("killed after {moved} … "));
    let down = Instant::now();
    site.start_again().await?;
    say::part(&format!(
        "up again after {:.1} s … ",
        down.elapsed().as_secs_f64()
    ));
    until(site, targets, targets.len()).await
}

/// Asks for a move of every account that is not yet at its target. A move that is open already is
/// as good as a new one; other refusals show when nothing comes of them.
fn ask_for(site: &Site, targets: &[(String, String)]) -> Result<()> {
    let homes = homes(site)?;
    for (address, shard) in missing(&homes, targets) {
        site.palomar(&["move", address, shard, "--no-wait"], "")?;
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
async fn until(site: &Site, targets: &[(String, String)], enough: usize) -> Result<usize> {
    let began = Instant::now();
    loop {
        let open = open(site);
        let there = targets.len() - missing(&homes(site)?, targets).count();
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
