//! What the store holds: keys and records.

mod key;
pub mod records;

pub use key::{Key, KeyError, Kind, fuzz};
