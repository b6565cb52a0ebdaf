//! Compiles the heap's records and the index's rows into plain prost messages.

const FILES: &[&str] = &[
    "buzonera/storage/v1/records.proto",
    "buzonera/storage/v1/index.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
