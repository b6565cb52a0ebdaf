//! `buzonera-proxy`: POP3 in front.

use std::process::ExitCode;

use kit::config::Program;

const PROGRAM: Program = Program {
    name: "buzonera-proxy",
    about: "Logs mail clients in by POP3 and connects them to the shards that have their mail",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    kit::process::main(&PROGRAM, buzonera_proxy::run)
}
