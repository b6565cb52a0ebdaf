//! The shard as a whole: over a disk whose power fails, and over real sockets.

mod apart;
mod copying;
mod damage;
mod delivering;
mod full;
mod hosts;
mod model;
mod moving;
mod moving_full;
mod moving_model;
mod moving_plan;
mod net;
mod opening;
mod pop3;
mod recovering;
mod replaced;
mod rig;
mod serving;
mod sessions;
mod stopped;
mod troubles;
mod volume;
