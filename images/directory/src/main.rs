//! `buzonera-directory`: one replica of the directory.

fn main() -> std::process::ExitCode {
    kit::frame::main::<buzonera_directory::Directory>()
}
