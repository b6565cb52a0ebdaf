//! `buzonera-proxy`: POP3 in front.

fn main() -> std::process::ExitCode {
    kit::frame::main::<buzonera_proxy::Proxy>()
}
