//! The spool over a simulated disk, with simulated time.

mod admin;
mod away;
mod bounds;
mod delivery;
mod healing;
mod power_cut;
mod removing;
mod snapshots;
mod support;
