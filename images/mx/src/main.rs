//! `buzonera-mx`: SMTP and LMTP in.

use std::process::ExitCode;

use kit::config::Program;

const PROGRAM: Program = Program {
    name: "buzonera-mx",
    about: "Takes mail in by SMTP and LMTP and delivers it to the owning shards",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    kit::process::main(&PROGRAM, buzonera_mx::run)
}
