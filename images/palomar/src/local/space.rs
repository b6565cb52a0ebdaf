//! Whether the disk under the data folder has room for mail.

use std::io;
use std::path::Path;

use rustix::fs::statvfs;

/// Whether shards on this disk take no mail: their rule, asked before the first of them has told.
pub fn is_nearly_full(folder: &Path) -> io::Result<bool> {
    let disk = statvfs(folder)?;
    Ok(is_below(
        disk.f_bavail,
        disk.f_blocks,
        storage::MIN_FREE_PERCENT,
    ))
}

fn is_below(free: u64, size: u64, percent: u64) -> bool {
    u128::from(free) * 100 < u128::from(size) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_hundred_are_enough() {
        assert!(is_below(49, 1000, 5));
        assert!(!is_below(50, 1000, 5));
        assert!(is_below(u64::MAX / 21, u64::MAX, 5));
        assert!(is_nearly_full(Path::new("/nowhere")).is_err());
    }
}
