//! `cargo e2e test`: what must hold before a change lands, counted.

mod counts;
mod etcd;
mod suite;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::kubernetes::nodes;
use crate::{images, kubernetes, packages, say};
pub(crate) use counts::Counts;

/// Which tests, and whether to ask before installing what they need.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only one kind.
    #[arg(long, value_enum)]
    pub only: Option<Kind>,
    /// Install missing system packages and build etcd and Kubernetes without asking.
    #[arg(long)]
    pub yes: bool,
}

/// How `cargo e2e soak` runs.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// Install missing system packages and build etcd and Kubernetes without asking.
    #[arg(long)]
    pub yes: bool,
}

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// At the foot of the sources: no other process, no fixed port.
    Unit,
    /// Each crate's tests/it: real sockets, real etcd, real mail programs.
    Integration,
    /// Against a real Kubernetes, which is built once.
    Kubernetes,
}

/// Runs them; true when all passed.
pub fn run(args: TestArgs) -> Result<bool> {
    let wanted = |kind| args.only.is_none_or(|only| only == kind);
    let mut groups = Groups::default();
    let mut all = Counts::default();
    if wanted(Kind::Unit) {
        let unit = || suite::run("unit", &["--workspace", "--lib", "--bins"], &[]);
        all += groups.timed("unit tests", unit)?;
    }
    if wanted(Kind::Integration) {
        let places = groups.timed("what they need", || provide(args.yes))?;
        let integration = || suite::run("integration", &["--workspace", "--test", "it"], &places);
        all += groups.timed("integration tests", integration)?;
    }
    if wanted(Kind::Kubernetes) {
        groups.timed("Kubernetes' programs", || provide_kubernetes(args.yes))?;
        groups.timed("images", || images::build(images::TAG, args.yes))?;
        all += groups.timed("Kubernetes tests", || run_kubernetes(&[], &[]))?;
    }
    say::line(&format!("minutes: {groups}"));
    say::line(&format!("{} passed, {} failed", all.passed, all.failed));
    Ok(all.is_good())
}

/// Runs the integration tests whose names contain one of `tests`, with more environment variables.
pub(crate) fn soak(
    args: &SoakArgs,
    tests: &[&str],
    variables: &[(&'static str, PathBuf)],
) -> Result<Counts> {
    let mut places = provide(args.yes)?.to_vec();
    places.extend_from_slice(variables);
    let crates = ["--package", "e2e", "--package", "buzonera-directory"];
    let which = [&crates[..], &["--test", "it", "--"], tests].concat();
    suite::run("soak", &which, &places)
}

/// Likewise, of those that need a Kubernetes.
pub(crate) fn soak_on_kubernetes(
    args: &SoakArgs,
    tests: &[&str],
    variables: &[(&'static str, PathBuf)],
) -> Result<Counts> {
    provide_kubernetes(args.yes)?;
    images::build(images::TAG, args.yes)?;
    run_kubernetes(&[&["--"], tests].concat(), variables)
}

/// Mail programs, etcd and our own programs: the last two as environment variables.
fn provide(yes: bool) -> Result<[(&'static str, PathBuf); 2]> {
    packages::provide_for_tests(yes)?;
    let etcd = etcd::provide(yes)?;
    let bin = crate::binaries::build(say::line)?;
    Ok([("BUZONERA_ETCD", etcd), (crate::binaries::FOLDER, bin)])
}

/// Runs them, and waits until the nodes that they share have ended.
fn run_kubernetes(more: &[&str], variables: &[(&'static str, PathBuf)]) -> Result<Counts> {
    let folder = tempfile::tempdir()?;
    let shared = folder.path().join("nodes");
    let which = [&["--workspace", "--test", "kubernetes"], more].concat();
    let variables = [variables, &[(nodes::FOLDER, shared.clone())]].concat();
    let counts = suite::run("kubernetes", &which, &variables)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(nodes::down(&shared))?;
    Ok(counts)
}

/// The etcd that Kubernetes keeps its objects in.
pub(crate) fn provide_etcd(yes: bool) -> Result<PathBuf> {
    etcd::provide(yes)
}

/// What Kubernetes is made of. Where it can have no nodes, tests of its API do without.
fn provide_kubernetes(yes: bool) -> Result<()> {
    match nodes::host::check_kernel() {
        Ok(()) => nodes::provide(yes),
        Err(why) => {
            say::line(&format!("{why}: tests that need nodes are left out"));
            provide_etcd(yes)?;
            kubernetes::programs::MODULE.provide(yes)?;
            Ok(())
        }
    }
}

/// How long each group took.
#[derive(Default)]
struct Groups(Vec<(&'static str, Duration)>);

impl Groups {
    fn timed<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let outcome = work();
        self.0.push((name, began.elapsed()));
        outcome
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, took)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(to, "{comma}{name} {:.1}", took.as_secs_f64() / 60.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_in_their_order() {
        let minutes = |n: u64| Duration::from_secs(n * 6);
        let groups = Groups(vec![("unit tests", minutes(31)), ("others", minutes(4))]);
        assert_eq!(groups.to_string(), "unit tests 3.1, others 0.4");
    }
}
