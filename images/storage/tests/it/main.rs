//! The shard as a whole: over a disk whose power fails, and over real sockets.

mod delivering;
mod model;
mod recovering;
mod rig;
mod sessions;
