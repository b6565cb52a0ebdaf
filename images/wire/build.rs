//! Compiles the `.proto` files into plain prost messages: no services, no tokio.

const FILES: &[&str] = &[
    "palomar/v1/route.proto",
    "palomar/v1/directory.proto",
    "palomar/v1/registry.proto",
    "palomar/v1/shard.proto",
    "palomar/v1/mover.proto",
    "palomar/v1/admin.proto",
    "palomar/v1/spool.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
