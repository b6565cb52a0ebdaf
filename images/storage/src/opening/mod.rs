//! The opening of a volume, as people see it: how far it is, and when it will be over.

mod estimate;
mod progress;
pub(crate) mod teller;

pub use self::estimate::Recovery;
pub use self::progress::{Opening, Progress};
