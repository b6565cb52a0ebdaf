//! A shard that is stopped on purpose, so that its volume can be worked on where it is: the process
//! runs and says so, but has neither the volume's lock nor a lease, and opens no port but the
//! administrators'. Mail for it waits elsewhere.

use std::process::ExitCode;

use kit::frame::{self, Tier};
use kit::process::{self, Process};

use crate::config::Config;
use crate::tier::{Error, Storage};

/// The whole of a shard's `main`.
pub fn main() -> ExitCode {
    process::main(
        &Storage::PROGRAM,
        async |config: Config, process: Process| {
            if config.stopped {
                rest(&process).await;
                return Ok::<_, Error>(());
            }
            let bound = frame::bind::<Storage>(config, &process.admin, &process.shutdown).await?;
            bound.serve().await
        },
    )
}

/// Waits for the end of the process, and is not ready.
async fn rest(process: &Process) {
    let condition = process.admin.readiness.condition(Storage::TIER.to_string());
    condition.unmet("stopped on purpose, by its settings; its volume is free");
    tracing::warn!("stopped on purpose: nothing is served, and the volume is free to work on");
    process.shutdown.triggered().await;
}
