//! How many shards there are: what the folder holds, and what --shards says.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use wire::ids::ShardName;

use crate::failure::Failure;
use crate::local::layout::Layout;

/// Enough to see a move.
const DEFAULT: u16 = 2;

/// The shards to run, in order. Names are never given up: fewer than there are is refused.
pub fn plan(layout: &Layout, wanted: Option<u16>) -> Result<Vec<ShardName>, Failure> {
    let held = held(layout)?;
    let have = held.len() as u16;
    let wanted = wanted.unwrap_or(have.max(DEFAULT));
    if wanted < have {
        return Err(Failure::Refused(format!(
            "{} holds {have} shards, and --shards {wanted} would leave out mail: \
             start with --shards {have} or more.",
            layout.root().display()
        )));
    }
    (1..=wanted).map(name).collect()
}

fn name(number: u16) -> Result<ShardName, Failure> {
    format!("shard-{number}")
        .parse()
        .map_err(|error: wire::ids::IdError| Failure::Refused(format!("{error}.")))
}

/// Shards whose volume is in the folder.
fn held(layout: &Layout) -> Result<BTreeSet<String>, Failure> {
    let entries = match fs::read_dir(layout.shards()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("shard-") {
            names.insert(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &[ShardName]) -> Vec<&str> {
        plan.iter().map(ShardName::as_str).collect()
    }

    #[test]
    fn shards_grow_and_never_shrink() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(names(&plan(&layout, None).unwrap()), ["shard-1", "shard-2"]);
        for shard in plan(&layout, Some(3)).unwrap() {
            fs::create_dir_all(layout.shard(&shard)).unwrap();
        }
        assert_eq!(plan(&layout, None).unwrap().len(), 3);
        assert_eq!(plan(&layout, Some(4)).unwrap().len(), 4);
        let refused = plan(&layout, Some(2)).unwrap_err();
        assert!(refused.to_string().contains("--shards 3 or more"));
    }
}
