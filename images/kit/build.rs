//! Makes the RPC services over the messages that `wire` compiles.

const FILES: &[&str] = &[
    "buzonera/v1/directory.proto",
    "buzonera/v1/registry.proto",
    "buzonera/v1/shard.proto",
    "buzonera/v1/mover.proto",
    "buzonera/v1/admin.proto",
    "buzonera/v1/operator.proto",
    "buzonera/v1/spool.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../wire/proto");
    let descriptors = protox::compile(FILES, ["../wire/proto"])?;
    tonic_prost_build::configure()
        .extern_path(".buzonera.v1", "::wire::rpc")
        .compile_fds(descriptors)?;
    Ok(())
}
