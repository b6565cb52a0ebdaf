//! `cargo e2e up` and `cargo e2e down`: a Kubernetes with nodes, to look around in.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use super::cluster::{self, Cluster};
use super::{add_ons, host};
use crate::kubernetes::{Access, programs};
use crate::{packages, places, say, test};

/// How it is begun.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// How many nodes it has.
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// Install missing system packages and build Kubernetes without asking.
    #[arg(long)]
    pub yes: bool,
}

/// Starts it, leaves it running, and says how to look around.
pub fn up(args: UpArgs) -> Result<bool> {
    provide(args.yes)?;
    let folder = folder();
    say::line("starting Kubernetes 1.34.4");
    runtime()?.block_on(async {
        let cluster = begin(args.nodes, say::line).await?;
        load(&cluster)?;
        let access = cluster.access().clone();
        cluster.stay()?;
        say::line("");
        look_around(&access);
        say::line("  kubectl get nodes,pods --all-namespaces --output wide");
        say::line(&format!("Its logs are in {}", folder.display()));
        Ok(true)
    })
}

/// Starts one that `cargo e2e down` ends; what was left of another goes first.
pub async fn begin(nodes: u8, show: impl FnMut(&str)) -> Result<Cluster> {
    let folder = folder();
    if cluster::runs_in(&folder)? {
        bail!("Kubernetes is up already: `cargo e2e down` ends it");
    }
    cluster::down(&folder).await?;
    let us = std::env::current_exe()?;
    Cluster::boot(&us, &folder, nodes, show).await
}

/// Says how to look around in one that stays.
pub fn look_around(access: &Access) {
    say::line("It stays until `cargo e2e down`. To look around in it:");
    let kubeconfig = access.kubeconfig();
    say::line(&format!("  export KUBECONFIG={}", kubeconfig.display()));
    let tools = places::tools();
    say::line(&format!("  export PATH={}:$PATH", tools.display()));
}

/// Ends it, or whatever is left of it.
pub fn down() -> Result<bool> {
    match runtime()?.block_on(cluster::down(&folder()))? {
        true => say::line("Kubernetes is down, and nothing of it is left"),
        false => say::line("Kubernetes is not up"),
    }
    Ok(true)
}

/// What a Kubernetes with nodes is made of: packages, etcd, Kubernetes' programs, add-ons.
pub fn provide(yes: bool) -> Result<()> {
    host::check_kernel()?;
    packages::provide(&host::PROGRAMS, yes)?;
    let etcd = test::provide_etcd(yes)?;
    programs::MODULE.provide(yes)?;
    add_ons::provide(&etcd, yes)
}

/// Brings Buzonera's images, as far as they were built.
fn load(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    let missing = cluster.load_platform()?;
    let seconds = began.elapsed().as_secs_f64();
    say::line(&format!("Buzonera's images are brought, in {seconds:.1} s"));
    for name in missing {
        say::line(&format!("{name} is not built: `cargo e2e images` does it"));
    }
    Ok(())
}

fn folder() -> PathBuf {
    places::scratch().join("kubernetes")
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}
