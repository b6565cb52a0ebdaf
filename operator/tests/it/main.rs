//! What the operator makes of what people write.

mod fields;
mod flags;
mod golden;
mod labels;
mod model;
mod names;
mod pods;
mod restarts;
mod world;
