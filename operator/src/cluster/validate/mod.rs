//! From what somebody wrote to what is wanted, or to a sentence that says what to write instead.
//!
//! The API server has asked the rules of the definitions already; here is what they cannot see: other
//! releases, other Services, and numbers that have to be reckoned with.

use crds::MailCluster;
use crds::mail_cluster as spec;
use crds::storage::{DefaultStorage, Storage};
use kube::ResourceExt as _;
use wire::address::{Address, Domain};

use super::shape::{Cluster, Directory, Etcd, Images, Mx, Proxy, Rebalance, ShardDefaults, Volume};
use super::size::Size;
use crate::pod::release::Release;

mod images;
mod invalid;
mod services;

pub use invalid::Invalid;

/// The operator itself, as far as a spec that says nothing means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its release.
    pub release: Release,
    /// The registry of our images; empty: the nodes' own.
    pub registry: String,
    /// The complete name of etcd's image.
    pub etcd_image: String,
}

/// What was decided when the cluster was first applied, and stands in its record since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The release of a spec that names none.
    pub release: Release,
    /// The registry of a spec that names none.
    pub registry: String,
}

/// Checks a MailCluster. `pinned` is in its record, if there is one yet; what a spec leaves open is
/// from there, and the operator's own before that.
pub fn validate(
    object: &MailCluster,
    operator: &Operator,
    pinned: Option<&Pinned>,
) -> Result<Cluster, Invalid> {
    let spec = &object.spec;
    let release = release(spec.version.as_deref(), operator, pinned)?;
    let registry = images::registry(spec.image.registry.as_deref(), operator, pinned)?;
    let etcd = spec.directory.store.etcd.as_ref().ok_or(Invalid::NoStore)?;
    services::check_node_ports(spec)?;
    Ok(Cluster {
        name: object.name_any().parse()?,
        namespace: object.namespace().ok_or(Invalid::NoNamespace)?,
        images: images(spec, etcd, &release, &registry, operator)?,
        release,
        registry,
        hostname: hostname(&spec.hostname)?,
        domains: domains(&spec.domains)?,
        shards: count("shards", spec.shards, 0, 1000)?,
        shard_defaults: shard_defaults(&spec.shard_defaults)?,
        mx: mx(&spec.mx)?,
        proxy: proxy(&spec.proxy)?,
        directory: directory(&spec.directory)?,
        etcd: store(etcd)?,
        rebalance: rebalance(&spec.rebalance)?,
        certificates: certificates(&spec.tls),
    })
}

/// A release that is written must be one that the operator knows; one that was pinned may have been
/// left behind by operators that came since.
fn release(
    written: Option<&str>,
    operator: &Operator,
    pinned: Option<&Pinned>,
) -> Result<Release, Invalid> {
    let known = |release: &Release| release.is_known_to(&operator.release);
    let Some(written) = written else {
        let Some(Pinned { release, .. }) = pinned else {
            return Ok(operator.release.clone());
        };
        return match known(release) {
            true => Ok(release.clone()),
            false => Err(Invalid::PinnedRelease {
                pinned: release.clone(),
                operator: operator.release.clone(),
            }),
        };
    };
    let release: Release = written.parse()?;
    match known(&release) {
        true => Ok(release),
        false => Err(Invalid::Release {
            release,
            operator: operator.release.clone(),
        }),
    }
}

fn images(
    spec: &spec::MailClusterSpec,
    etcd: &spec::Etcd,
    release: &Release,
    registry: &str,
    operator: &Operator,
) -> Result<Images, Invalid> {
    let ours = |program: &str| images::complete(registry, program, release);
    Ok(Images {
        etcd: images::etcd(etcd.image.as_deref(), operator)?,
        directory: ours("buzonera-directory"),
        storage: ours("buzonera-storage"),
        proxy: ours("buzonera-proxy"),
        mx: ours("buzonera-mx"),
        pull_policy: spec.image.pull_policy,
        pull_secrets: spec.image.pull_secrets.clone(),
    })
}

/// A name in lower case and in its `xn--` form, as it will stand in greetings.
fn hostname(written: &str) -> Result<String, Invalid> {
    match written.parse::<Domain>() {
        Ok(domain) if !domain.is_literal() && domain.as_str() == written => Ok(written.to_owned()),
        Ok(_) | Err(_) => Err(Invalid::Hostname(written.to_owned())),
    }
}

fn domains(domains: &[spec::Domain]) -> Result<Vec<spec::Domain>, Invalid> {
    for spec::Domain { name, postmaster } in domains {
        match name.parse::<Domain>() {
            Ok(domain) if !domain.is_literal() && domain.as_str() == name => {}
            Ok(_) | Err(_) => return Err(Invalid::Domain(name.clone())),
        }
        if let Some(address) = postmaster
            && address.parse::<Address>().is_err()
        {
            return Err(Invalid::Postmaster {
                domain: name.clone(),
                written: address.clone(),
            });
        }
    }
    Ok(domains.to_vec())
}

fn shard_defaults(defaults: &spec::ShardDefaults) -> Result<ShardDefaults, Invalid> {
    let spec::ShardDefaults { storage, pod } = defaults;
    let DefaultStorage {
        size,
        storage_class_name,
    } = storage;
    Ok(ShardDefaults {
        volume: volume(
            "shardDefaults.storage.size",
            size,
            storage_class_name.as_ref(),
        )?,
        pod: pod.clone(),
    })
}

fn mx(mx: &spec::Mx) -> Result<Mx, Invalid> {
    let spec::Mx {
        replicas,
        storage,
        pod,
        services,
    } = mx;
    Ok(Mx {
        replicas: count("mx.replicas", *replicas, 1, 100)?,
        volume: own_volume("mx.storage.size", storage)?,
        pod: pod.clone(),
        doors: services::doors("mx", services)?,
        client_ca: services::client_ca(services)?,
    })
}

fn proxy(proxy: &spec::Proxy) -> Result<Proxy, Invalid> {
    let spec::Proxy {
        replicas,
        pod,
        services,
    } = proxy;
    let count = |replicas: i32| count("proxy.replicas", replicas, 1, 100);
    Ok(Proxy {
        replicas: replicas.map(count).transpose()?,
        pod: pod.clone(),
        doors: services::doors("proxy", services)?,
    })
}

fn directory(directory: &spec::Directory) -> Result<Directory, Invalid> {
    let spec::Directory {
        replicas,
        pod,
        store: _,
    } = directory;
    Ok(Directory {
        replicas: count("directory.replicas", *replicas, 1, 5)?,
        pod: pod.clone(),
    })
}

fn store(etcd: &spec::Etcd) -> Result<Etcd, Invalid> {
    let spec::Etcd {
        replicas,
        image: _,
        storage,
        pod,
    } = etcd;
    let members = match replicas {
        1 => 1,
        3 => 3,
        other => return Err(Invalid::Members(*other)),
    };
    Ok(Etcd {
        members,
        volume: own_volume("directory.store.etcd.storage.size", storage)?,
        pod: pod.clone(),
    })
}

fn rebalance(rebalance: &spec::Rebalance) -> Result<Rebalance, Invalid> {
    let spec::Rebalance {
        mode,
        tolerance_percent,
        per_shard,
    } = rebalance;
    let spec::PerShard {
        moves,
        bytes_per_second,
    } = per_shard;
    Ok(Rebalance {
        mode: *mode,
        tolerance_percent: count("rebalance.tolerancePercent", *tolerance_percent, 1, 50)?,
        moves: count("rebalance.perShard.moves", *moves, 1, 64)?,
        bytes_per_second: pace(bytes_per_second)?,
    })
}

/// Less is no pace, and more would be no limit.
fn pace(written: &str) -> Result<u64, Invalid> {
    let octets = written.parse::<Size>().map(|size| size.octets());
    match octets {
        Ok(octets) if (1 << 20..=10 << 30).contains(&octets) => Ok(octets),
        Ok(_) | Err(_) => Err(Invalid::Pace(written.to_owned())),
    }
}

fn certificates(tls: &spec::Tls) -> Vec<String> {
    let names = tls.certificates.iter();
    names
        .map(|certificate| certificate.secret_name.clone())
        .collect()
}

fn own_volume(field: &'static str, storage: &Storage) -> Result<Volume, Invalid> {
    let Storage {
        size,
        storage_class_name,
    } = storage;
    volume(field, size, storage_class_name.as_ref())
}

/// Less than this has no room for what a tier needs before the first message.
const SMALLEST: u64 = 1 << 30;

/// A volume whose size stands in `field`.
pub(crate) fn volume(
    field: &'static str,
    size: &str,
    class: Option<&String>,
) -> Result<Volume, Invalid> {
    let size: Size = size
        .parse()
        .map_err(|source| Invalid::Size { field, source })?;
    match size.octets() {
        SMALLEST.. => Ok(Volume {
            size,
            class: class.cloned(),
        }),
        _ => Err(Invalid::Small { field, size }),
    }
}

/// A number that stands in `field`.
pub(crate) fn count(
    field: &'static str,
    written: i32,
    least: u32,
    most: u32,
) -> Result<u32, Invalid> {
    let count = u32::try_from(written).ok();
    let count = count.filter(|count| (least..=most).contains(count));
    count.ok_or(Invalid::Count {
        field,
        written,
        least,
        most,
    })
}

#[cfg(test)]
pub(crate) mod tests;
