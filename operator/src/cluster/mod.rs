//! A MailCluster: what it wants, as one checked value.

pub mod build;
pub(crate) mod reconcile;
pub mod shape;
pub mod size;
pub mod validate;

pub use shape::Cluster;
pub use size::Size;
pub use validate::{Invalid, validate};
