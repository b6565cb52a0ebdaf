//! Programs in Go that tests run: built once, from Go modules of our own that only name them.
//!
//! They are kept outside of the clone, in a folder whose name has the hash of `go.mod` and `go.sum`,
//! so that another clone finds them and another version is never taken for them; `.e2e/bin` leads
//! there.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use ring::digest::{Context as Digest, SHA256};

use crate::{places, say};

/// A Go module of ours, under `e2e`.
pub struct Module {
    /// Its folder's name, and the beginning of that in the cache.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// How long a build takes on two cores, and what Go keeps of it.
    pub cost: &'static str,
    /// Passed to Go's linker.
    pub linker_flags: &'static str,
    /// What is built.
    pub programs: &'static [Program],
}

/// A program of a module.
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// The package that it is built from.
    pub package: &'static str,
}

impl Module {
    /// The folder with its programs, which are built if need be, after asking.
    pub fn provide(&self, yes: bool) -> Result<PathBuf> {
        let folder = self.folder()?;
        let missing = self.missing(&folder);
        if !missing.is_empty() {
            self.may_build(yes)?;
            self.build(&missing, &folder)?;
        }
        for program in self.programs {
            link(&folder, program.name)?;
        }
        Ok(folder)
    }

    /// Whether nothing has to be built.
    pub fn is_built(&self) -> bool {
        self.folder()
            .is_ok_and(|folder| self.missing(&folder).is_empty())
    }

    fn source(&self) -> PathBuf {
        places::workspace().join("e2e").join(self.name)
    }

    fn folder(&self) -> Result<PathBuf> {
        let read = |name: &str| {
            let path = self.source().join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = key(&[&read("go.mod")?, &read("go.sum")?]);
        Ok(places::cache().join(format!("{}-{key}", self.name)))
    }

    fn missing(&self, folder: &Path) -> Vec<&Program> {
        let is_there = |program: &&Program| !folder.join(program.name).is_file();
        self.programs.iter().filter(is_there).collect()
    }

    fn may_build(&self, yes: bool) -> Result<()> {
        let Self { title, cost, .. } = self;
        let question = format!("{title} has to be built from its Go modules: {cost}. Build it?");
        if !yes && !say::ask(&question) {
            bail!("{title} is not built: run with --yes, or on a terminal");
        }
        Ok(())
    }

    /// Whoever builds at the same time does no harm: each program appears whole.
    fn build(&self, programs: &[&Program], folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut progress = Progress::new(self.title, self.packages(programs)?);
        for program in programs {
            let half = folder.join(format!("{}.{}", program.name, std::process::id()));
            self.build_one(program, &half, &mut progress)?;
            fs::rename(&half, folder.join(program.name))?;
        }
        say::line(&format!("{} is built", self.title));
        Ok(())
    }

    fn build_one(&self, program: &Program, to: &Path, progress: &mut Progress) -> Result<()> {
        let mut go = self.go();
        go.args(["build", "-v", "-p", "2", "-trimpath", "-ldflags"]);
        go.arg(self.linker_flags).arg("-o").arg(to);
        let mut child = go
            .arg(program.package)
            .stderr(Stdio::piped())
            .spawn()
            .context(NO_GO)?;
        let said = child.stderr.take().context("Go's words are piped")?;
        let mut rest = Vec::new();
        for line in BufReader::new(said).lines() {
            let line = line?;
            if !progress.heard(&line) {
                rest.push(line);
            }
        }
        ensure!(
            child.wait()?.success(),
            "{} does not build:\n{}",
            program.name,
            rest.join("\n")
        );
        Ok(())
    }

    /// Every package that goes into the programs; Go fetches what it lacks to tell.
    fn packages(&self, programs: &[&Program]) -> Result<HashSet<String>> {
        let mut go = self.go();
        go.args(["list", "-deps"]);
        go.args(programs.iter().map(|program| program.package));
        let output = go.output().context(NO_GO)?;
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "go list failed:\n{why}");
        let listed = String::from_utf8_lossy(&output.stdout);
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(self.source());
        go.env("CGO_ENABLED", "0").stdin(Stdio::null());
        go
    }
}

const NO_GO: &str = "Go is not there to build with: install it (Debian: golang)";

/// What is heard of a build: `go build -v` names each package as it begins with it.
struct Progress {
    title: &'static str,
    packages: HashSet<String>,
    begun: usize,
}

impl Progress {
    fn new(title: &'static str, packages: HashSet<String>) -> Self {
        say::line(&format!("building {title}: {} packages", packages.len()));
        Self {
            title,
            packages,
            begun: 0,
        }
    }

    /// Whether the line is a package's name; tells of each tenth.
    fn heard(&mut self, line: &str) -> bool {
        let known = self.packages.contains(line);
        if known {
            let all = self.packages.len();
            let tenth = |begun: usize| begun * 10 / all;
            self.begun += 1;
            if tenth(self.begun) > tenth(self.begun - 1) {
                say::line(&format!("building {}: {} of {all}", self.title, self.begun));
            }
        }
        known || line.starts_with("go: downloading ")
    }
}

/// `.e2e/bin/NAME` leads to the program, for tests that are run without `cargo e2e`.
fn link(folder: &Path, name: &str) -> Result<()> {
    let (target, link) = (folder.join(name), places::tools().join(name));
    if fs::read_link(&link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    fs::create_dir_all(places::tools())?;
    let new = places::tools().join(format!("{name}.{}", std::process::id()));
    std::os::unix::fs::symlink(&target, &new)?;
    fs::rename(&new, &link).with_context(|| format!("cannot write {}", link.display()))
}

/// A short hash over all of them.
fn key(files: &[&[u8]]) -> String {
    let mut digest = Digest::new(&SHA256);
    for file in files {
        digest.update(file);
    }
    let octets = digest.finish();
    octets.as_ref()[..8]
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_lies_elsewhere() {
        let one = key(&[b"require etcd v3.6.16", b"sums"]);
        assert_eq!(one.len(), 16);
        assert_ne!(one, key(&[b"require etcd v3.6.17", b"sums"]));
        assert_ne!(one, key(&[b"require etcd v3.6.16", b"others"]));
    }

    #[test]
    fn packages_are_progress_and_the_rest_is_why_it_failed() {
        let packages = ["fmt", "k8s.io/api"].map(str::to_owned).into();
        let mut progress = Progress::new("a test's", packages);
        assert!(progress.heard("k8s.io/api"));
        assert!(progress.heard("go: downloading k8s.io/api v0.34.4"));
        assert!(!progress.heard("api.go:1:1: expected 'package'"));
        assert_eq!(progress.begun, 1);
    }
}
