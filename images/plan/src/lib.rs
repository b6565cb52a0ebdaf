//! Which accounts belong on which shard: pure integers, with no client, socket or clock.
//!
//! 1. A shard's load is half its share of all accounts and half its share of all bytes
//!    ([`balance`]). Its target is its part of the weights of all shards that are Active and have
//!    ever served. A shard that is to be empty has none, and one that is cordoned keeps what it has.
//!    Moves that are open count as done.
//! 2. [`plan`] says how much has to go from where to where: first all of what is on shards that are to
//!    be empty, then what volumes have too much of, then the least that brings every shard within the
//!    tolerance.
//! 3. [`Balance::pick`] says which accounts these are: a fair sample, each of which makes the loads
//!    more even and finds room where it goes. So repeated plans end, and move nothing back.
//! 4. [`Balance::place`] says where a new account goes, by the same targets, so that no plan undoes it.

mod balance;
mod capacity;
mod fill;
mod flow;
mod lack;
mod level;
mod load;
mod pair;
mod phi;
mod pick;
mod place;
mod plan;
mod share;
mod told;
mod volume;

pub use crate::balance::{Balance, Bar};
pub use crate::capacity::Capacity;
pub use crate::flow::{Flow, Why};
pub use crate::lack::Lack;
pub use crate::load::{DEFAULT_WEIGHT, Limits, Load, OpenMove, Standing};
pub use crate::pick::{AccountSize, Hold, Pick, Stays, order};
pub use crate::place::{NoPlace, Place};
pub use crate::plan::plan;
pub use crate::share::{Share, WHOLE};
pub use crate::volume::Volume;
