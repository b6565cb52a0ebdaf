//! The log over a simulated disk, and over a real folder.

extern crate buzonera_log as log;

mod crash_points;
mod failures;
mod power_cut;
mod recovery;
mod segments;
mod support;
