//! CPU time and memory of processes, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel shows times in units of USER_HZ, which is 100 on every Linux that we run on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time that a process has used; "self" is us.
pub(super) fn used(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    ticks(&stat)
        .map(|ticks| TICK * ticks)
        .context("/proc/PID/stat")
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold spaces.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split(' ').skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// Octets of memory that this process holds.
pub(super) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.context("VmRSS")?.split_whitespace().next();
    Ok(words.context("VmRSS")?.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 5 1 1";
        assert_eq!(ticks(stat), Some(300));
        assert!(used("self").is_ok());
        assert!(resident().unwrap() > 1 << 20);
    }
}
