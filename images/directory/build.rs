//! Compiles the records of the store, whose enums and parts come from `wire`, the journal of the
//! embedded store, and etcd's client.

/// Messages only, over `wire`'s.
const RECORDS: &[&str] = &["buzonera/directory/v1/records.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=../wire/proto");
    let records = protox::compile(RECORDS, ["proto", "../wire/proto"])?;
    tonic_prost_build::configure()
        .bytes(".buzonera.directory.v1")
        .extern_path(".buzonera.v1", "::wire::rpc")
        .compile_fds(records)?;
    tonic_prost_build::configure()
        .bytes(".buzonera.directory.journal.v1")
        .compile_fds(protox::compile(["embedded/journal.proto"], ["proto"])?)?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".etcdserverpb")
        .compile_fds(protox::compile(["etcd/etcd.proto"], ["proto"])?)?;
    Ok(())
}
