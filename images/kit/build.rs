//! Makes the RPC services over the messages that `wire` compiles.

const FILES: &[&str] = &[
    "palomar/v1/directory.proto",
    "palomar/v1/registry.proto",
    "palomar/v1/shard.proto",
    "palomar/v1/mover.proto",
    "palomar/v1/admin.proto",
    "palomar/v1/spool.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../wire/proto");
    let descriptors = protox::compile(FILES, ["../wire/proto"])?;
    tonic_prost_build::configure()
        .extern_path(".palomar.v1", "::wire::rpc")
        .compile_fds(descriptors)?;
    Ok(())
}
