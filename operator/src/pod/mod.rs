//! What all pods have in common.

pub mod ending;
mod mount;
mod probes;
pub mod release;
mod resources;
mod scheduling;
mod security;
mod stateful_set;
mod template;

pub(crate) use mount::{Mount, Source, folders};
pub(crate) use stateful_set::{Set, stateful_set};
pub(crate) use template::{Part, env_of_field, env_of_map, env_of_text};
