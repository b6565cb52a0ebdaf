//! Which replicas there are: written out, or in a file that is read again when it changes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::replica::{BadReplica, Replica};
use super::replicas::Replicas;
use crate::lifecycle::Shutdown;
use crate::reload::{self, Counts, Source, Stamp};

/// Where the list of replicas is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaList {
    /// These, as long as the process runs.
    Fixed(Vec<Replica>),
    /// One `INSTANCE=HOST:PORT` a line, read again when the file changes; empty lines mean nothing.
    File(PathBuf),
}

impl ReplicaList {
    /// Of two settings, exactly one of which is to be given.
    pub fn of_settings(replicas: &[Replica], file: Option<&PathBuf>) -> Result<Self, BadReplica> {
        match (replicas, file) {
            ([], None) => Err(BadReplica::None),
            ([], Some(file)) => Ok(Self::File(file.clone())),
            (replicas, None) => Ok(Self::Fixed(replicas.to_vec())),
            (_, Some(_)) => Err(BadReplica::Twice),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<Replica>, BadReplica> {
        match self {
            Self::Fixed(replicas) => Ok(replicas.clone()),
            Self::File(path) => read(path),
        }
    }
}

/// Replicas are few.
const MAX_REPLICAS: usize = 64;

/// Of a file: names of hosts are short.
const MAX_FILE: u64 = 64 << 10;

fn read(path: &Path) -> Result<Vec<Replica>, BadReplica> {
    let failed = |source: io::Error| BadReplica::File {
        path: path.to_owned(),
        why: source.to_string(),
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    parse(&text).map_err(|error| BadReplica::File {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

fn parse(text: &str) -> Result<Vec<Replica>, BadReplica> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let replicas: Vec<Replica> = lines.map(str::parse).collect::<Result<_, _>>()?;
    match replicas.len() {
        0 => Err(BadReplica::None),
        1..=MAX_REPLICAS => Ok(replicas),
        count => Err(BadReplica::TooMany(count)),
    }
}

/// The file that the replicas in use are from.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    replicas: Arc<Replicas>,
    list: ReplicaList,
    first_stamps: Vec<Stamp>,
    counts: Counts,
    gauge: Gauge,
}

impl Listed {
    /// `first_stamps` were taken before the list was read.
    pub(super) fn new(
        replicas: Arc<Replicas>,
        list: ReplicaList,
        first_stamps: Vec<Stamp>,
    ) -> Self {
        let this = Self {
            replicas,
            list,
            first_stamps,
            counts: Counts::default(),
            gauge: Gauge::default(),
        };
        this.count();
        this
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Directory replicas that are asked";
        registry.register("directory_replicas", help, self.gauge.clone());
        let name = "directory_replicas_list";
        self.counts.register(name, Self::WHAT, registry);
    }

    pub(super) fn watch(&self, interval: Duration, shutdown: &Shutdown) {
        match &self.list {
            ReplicaList::Fixed(_) => {}
            ReplicaList::File(_) => reload::watch(self.clone(), interval, shutdown.clone()),
        }
    }

    fn count(&self) {
        let count = self.replicas.count();
        self.gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// What a list's file looks like; nothing for one that is written out.
pub(super) fn stamps(list: &ReplicaList) -> Vec<Stamp> {
    match list {
        ReplicaList::Fixed(_) => Vec::new(),
        ReplicaList::File(path) => vec![reload::stamp(path)],
    }
}

impl Source for Listed {
    type Error = BadReplica;
    const WHAT: &'static str = "lists of directory replicas";

    fn name(&self) -> String {
        match &self.list {
            ReplicaList::Fixed(_) => String::new(),
            ReplicaList::File(path) => path.display().to_string(),
        }
    }

    fn first_stamps(&self) -> Vec<Stamp> {
        self.first_stamps.clone()
    }

    fn stamps(&self) -> Vec<Stamp> {
        stamps(&self.list)
    }

    fn reload(&self) -> Result<(), BadReplica> {
        self.replicas.replace(&self.list.read()?)?;
        self.count();
        Ok(())
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_replica_a_line() {
        let list = parse("directory-0=a:1\n\n  directory-1=b:2 \r\n").unwrap();
        let names: Vec<_> = list.iter().map(|replica| &replica.instance).collect();
        assert_eq!(names, ["directory-0", "directory-1"]);
        assert_eq!(parse(" \n\n"), Err(BadReplica::None));
        assert!(parse("directory-0=a:1\ndirectory-1").is_err());
        let many = "directory-0=a:1\n".repeat(MAX_REPLICAS + 1);
        assert_eq!(parse(&many), Err(BadReplica::TooMany(MAX_REPLICAS + 1)));
    }

    #[test]
    fn one_of_two_settings() {
        let replica: Replica = "directory-0=a:1".parse().unwrap();
        let (some, file) = (std::slice::from_ref(&replica), PathBuf::from("list"));
        let of = ReplicaList::of_settings;
        assert_eq!(of(some, None), Ok(ReplicaList::Fixed(some.to_vec())));
        assert_eq!(of(&[], Some(&file)), Ok(ReplicaList::File(file.clone())));
        assert_eq!(of(&[], None), Err(BadReplica::None));
        assert_eq!(of(some, Some(&file)), Err(BadReplica::Twice));
    }

    #[test]
    fn a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let list = ReplicaList::File(path.clone());
        let said = |list: &ReplicaList| list.read().unwrap_err().to_string();
        assert!(said(&list).contains("list: "), "{}", said(&list));
        std::fs::write(&path, "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1)).unwrap();
        assert!(said(&list).contains("list: "), "{}", said(&list));
        std::fs::write(&path, "directory-0").unwrap();
        assert!(
            said(&list).contains("INSTANCE=HOST:PORT"),
            "{}",
            said(&list)
        );
    }
}
