//! `buzonera-operator`: keeps mail platforms on Kubernetes as people describe them.

use kit::config::Program;

/// How it is called.
const PROGRAM: Program = Program {
    name: "buzonera-operator",
    about: "Keeps mail platforms on Kubernetes as people describe them",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> std::process::ExitCode {
    kit::process::main(&PROGRAM, operator::run)
}
