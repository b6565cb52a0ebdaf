//! The spool over a simulated disk, with simulated time.

mod bounds;
mod delivery;
mod power_cut;
mod support;
