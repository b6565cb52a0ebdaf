//! What every tier has in common, so that each is the same house.

pub mod access;
