//! What every command has: where results go, and the cluster, found when first needed.

use crate::cli::Reach;
use crate::client::Admin;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach;

/// One command's surroundings.
pub struct Session {
    /// Where results go.
    pub output: Output,
    /// How the cluster is found.
    pub reach: Reach,
}

impl Session {
    /// Opens nothing yet.
    pub fn new(reach: Reach, output: Output) -> Self {
        Self { output, reach }
    }

    /// The directory's administration; connects when first called.
    pub fn admin(&self) -> Result<Admin, Failure> {
        reach::directory(&self.reach)?.admin()
    }
}
