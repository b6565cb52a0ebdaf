//! The log over a simulated disk, and over a real folder.

extern crate buzonera_segments as segments;

mod crash_points;
mod failures;
mod power_cut;
mod quiet;
mod recovery;
mod rotation;
mod support;
