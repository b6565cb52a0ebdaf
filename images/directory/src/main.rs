//! `buzonera-directory`: one replica of the directory.

use std::process::ExitCode;

use buzonera_directory::{Config, Directory, Error};
use kit::config::Program;
use kit::process::{self, Process};

const PROGRAM: Program = Program {
    name: "buzonera-directory",
    about: "One replica of Buzonera's directory: addresses, accounts, credentials, moves",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    process::main(&PROGRAM, run)
}

async fn run(config: Config, process: Process) -> Result<(), Error> {
    let Process { admin, shutdown } = process;
    config.identity_files().wait(&shutdown).await;
    let mut directory = Directory::open(config).await?;
    let identity = directory.identity().clone();
    admin
        .metrics
        .register(&identity, |registry| directory.register(registry));
    directory.ready_when_serving(admin.readiness.condition("directory"));
    directory.serve(shutdown).await
}
