//! What the tests share.

use std::sync::Arc;

use segments::sim::SimDisk;
use segments::{Disk, Log, OpenError, Options, Position, Record};

/// Segments of a few kilobytes, so that tests cross their borders.
pub(crate) fn small() -> Options {
    Options {
        segment_bytes: 16 << 10,
        group_bytes: 4 << 10,
        group_records: 8,
        ..Options::default()
    }
}

/// A record that says which one it is; its payload follows from its number.
pub(crate) fn numbered(number: u64, length: usize) -> Record {
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend((0..length).map(|i| (number as usize * 31 + i * 7) as u8));
    let whole = bytes::Bytes::from(payload);
    let middle = whole.len() / 2;
    Record {
        kind: number as u8,
        parts: vec![whole.slice(..middle), whole.slice(middle..)],
    }
}

/// The number of a record made by [`numbered`], which must be that record bit for bit.
pub(crate) fn number_of(record: &Record) -> u64 {
    let payload = record.payload();
    let number = u64::from_le_bytes(payload[..8].try_into().unwrap());
    let expected = numbered(number, payload.len() - 8);
    assert_eq!(record.kind, expected.kind);
    assert_eq!(payload, expected.payload(), "record {number}");
    number
}

/// Opens and gives every record.
pub(crate) fn open_disk(
    disk: Arc<dyn Disk>,
    options: Options,
    from: Option<Position>,
) -> Result<(Log, Vec<(Position, Record)>), OpenError> {
    let mut seen = Vec::new();
    let log = Log::open(disk, options, from, &mut |at, record| {
        seen.push((at, record));
        Ok(())
    })?;
    Ok((log, seen))
}

/// Opens with small segments and gives every record.
pub(crate) fn open(sim: &SimDisk) -> Result<(Log, Vec<(Position, Record)>), OpenError> {
    open_disk(sim.disk(), small(), None)
}

/// The numbers of records.
pub(crate) fn numbers(records: &[(Position, Record)]) -> Vec<u64> {
    records
        .iter()
        .map(|(_, record)| number_of(record))
        .collect()
}

/// The seeds to run: `count` of them, or the one in `BUZONERA_SEED`.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("BUZONERA_SEED") {
        Ok(seed) => vec![seed.parse().expect("BUZONERA_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// Runs a test for each seed; says which one fails, to be replayed.
pub(crate) fn for_seeds(count: u64, test: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds(count) {
        if let Err(panic) = std::panic::catch_unwind(|| test(seed)) {
            panic!("replay with BUZONERA_SEED={seed}: {}", reason(&*panic));
        }
    }
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}
