//! Compiles the `.proto` files into plain prost messages: no services, no tokio.

const FILES: &[&str] = &[
    "buzonera/v1/route.proto",
    "buzonera/v1/answer.proto",
    "buzonera/v1/directory.proto",
    "buzonera/v1/registry.proto",
    "buzonera/v1/shard.proto",
    "buzonera/v1/mover.proto",
    "buzonera/v1/admin.proto",
    "buzonera/v1/operator.proto",
    "buzonera/v1/spool.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
