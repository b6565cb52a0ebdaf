//! `buzonera-mx`: SMTP and LMTP in.

fn main() -> std::process::ExitCode {
    kit::frame::main::<buzonera_mx::Mx>()
}
