//! Certificates: which are wanted, which are due, and how they are made.
//!
//! A Secret is a folder of pairs beside a CA bundle. A pair stays as it is until a third of its
//! lifetime is left, its name changes, or the CA is another; it is then made anew in place, and the
//! processes take it over while they run.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kit::authority::{AuthorityError, Pair, StoreRole};
use wire::identity::{Identity, IdentityError, Tier as IdentityTier};

use crate::cluster::Cluster;
use crate::names::{SecretOf, Tier, files};
use crate::root::Root;

mod leaf;
mod public;

pub use public::{Brought, PublicState, public};

/// What a Secret holds, by key.
pub type Data = BTreeMap<String, Vec<u8>>;

/// What a Secret holds.
pub fn data(secret: Secret) -> Data {
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, octets)| (key, octets.0)).collect()
}

/// How long certificates last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// From now on.
    pub leaf: Duration,
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    /// A process of the cluster.
    Identity(Identity),
    /// An etcd member with these names.
    Member(Vec<String>),
    /// Whoever uses etcd.
    Client,
}

/// A pair that is wanted in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    cert: String,
    key: String,
    leaf: Leaf,
}

/// Why a folder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// A name that is no instance.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The CA refuses.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// Every Secret of certificates that the cluster itself needs, shards' and the public one apart.
/// `proxies` is how many proxies there are or are to be.
pub fn folders(cluster: &Cluster, proxies: u32) -> Vec<SecretOf> {
    let members = (0..cluster.etcd.members).map(SecretOf::EtcdMember);
    let mx = (0..cluster.mx.replicas).map(SecretOf::Mx);
    let others = [SecretOf::EtcdClient, SecretOf::Directory, SecretOf::Admin];
    let proxy = (proxies > 0).then_some(SecretOf::Proxy);
    members.chain(others).chain(proxy).chain(mx).collect()
}

/// A Secret as it is to be: what is still good stays, what is due is made.
pub fn folder(
    of: &SecretOf,
    cluster: &Cluster,
    proxies: u32,
    root: &Root,
    found: &Data,
    lifetimes: Lifetimes,
    now: SystemTime,
) -> Result<Data, NotIssued> {
    let ca = match of {
        SecretOf::EtcdMember(_) | SecretOf::EtcdClient => root.store.ca_pem(),
        SecretOf::Directory
        | SecretOf::Admin
        | SecretOf::Shard(_)
        | SecretOf::Proxy
        | SecretOf::Mx(_)
        | SecretOf::Public => root.authority.ca_pem(),
    };
    let same_ca = found
        .get(files::CA)
        .is_some_and(|found| found == ca.as_bytes());
    let mut data = Data::from([(files::CA.to_owned(), ca.as_bytes().to_vec())]);
    for wanted in wanted(of, cluster, proxies, root)? {
        let kept = found.get(&wanted.cert).zip(found.get(&wanted.key));
        let kept = kept.filter(|(cert, _)| {
            let seed = format!("{}/{}", of.name(&cluster.name), wanted.cert);
            same_ca && leaf::is_good(cert, &wanted.leaf, lifetimes, &seed, now)
        });
        let (cert, key) = match kept {
            Some((cert, key)) => (cert.clone(), key.clone()),
            None => {
                let Pair { cert, key } = issue(&wanted.leaf, root, lifetimes, now)?;
                (cert.into_bytes(), key.into_bytes())
            }
        };
        data.insert(wanted.cert, cert);
        data.insert(wanted.key, key);
    }
    Ok(data)
}

/// The soonest moment at which something of a folder is due; none: nothing of it ends.
pub fn next_due(
    of: &SecretOf,
    cluster: &Cluster,
    found: &Data,
    lifetimes: Lifetimes,
) -> Option<SystemTime> {
    let certs = found.iter().filter(|(key, _)| key.ends_with(files::CERT));
    let due = certs.filter_map(|(key, cert)| {
        let seed = format!("{}/{key}", of.name(&cluster.name));
        leaf::due(cert, lifetimes, &seed)
    });
    due.min()
}

/// The certificates of a folder that were there and are others now.
pub fn renewed(found: &Data, made: &Data) -> Vec<String> {
    let is_other = |(key, cert): &(&String, &Vec<u8>)| {
        key.ends_with(files::CERT) && made.get(*key).is_some_and(|made| made != *cert)
    };
    let others = found.iter().filter(is_other);
    others.map(|(key, _)| key.clone()).collect()
}

fn issue(
    leaf: &Leaf,
    root: &Root,
    lifetimes: Lifetimes,
    now: SystemTime,
) -> Result<Pair, AuthorityError> {
    match leaf {
        Leaf::Identity(identity) => root.authority.issue_pem(identity, lifetimes.leaf, now),
        Leaf::Member(hosts) => {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let role = StoreRole::Member(&hosts);
            root.store.issue_store(role, lifetimes.leaf, now)
        }
        Leaf::Client => root
            .store
            .issue_store(StoreRole::Client, lifetimes.leaf, now),
    }
}

fn wanted(
    of: &SecretOf,
    cluster: &Cluster,
    proxies: u32,
    root: &Root,
) -> Result<Vec<Wanted>, IdentityError> {
    let name = &cluster.name;
    let one = |instance: String| identity(root, of.tier(), &instance);
    let several = |instances: Vec<String>| instances.into_iter().map(one).collect();
    match of {
        SecretOf::EtcdMember(ordinal) => {
            let own = name.etcd_host(*ordinal);
            let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let hosts = [own].into_iter().chain(local).collect();
            let (cert, key) = files::pair(&name.etcd_member(*ordinal));
            let leaf = Leaf::Member(hosts);
            Ok(vec![Wanted { cert, key, leaf }])
        }
        SecretOf::EtcdClient => Ok(vec![alone(Leaf::Client)]),
        SecretOf::Directory => {
            let replicas = 0..cluster.directory.replicas;
            several(
                replicas
                    .map(|replica| name.directory_replica(replica))
                    .collect(),
            )
        }
        SecretOf::Admin => {
            let admin = Identity::new(root.id, IdentityTier::Admin, "admin")?;
            Ok(vec![alone(Leaf::Identity(admin))])
        }
        SecretOf::Shard(ordinal) => several(vec![name.shard(*ordinal)]),
        SecretOf::Proxy => several(
            (0..proxies)
                .map(|proxy| name.proxy_instance(proxy))
                .collect(),
        ),
        SecretOf::Mx(ordinal) => several(vec![name.mx(*ordinal)]),
        SecretOf::Public => Ok(Vec::new()),
    }
}

/// The only pair of a folder.
fn alone(leaf: Leaf) -> Wanted {
    Wanted {
        cert: files::CERT.to_owned(),
        key: files::KEY.to_owned(),
        leaf,
    }
}

/// A pair of a folder that may hold several.
fn identity(root: &Root, tier: Tier, instance: &str) -> Result<Wanted, IdentityError> {
    let (cert, key) = files::pair(instance);
    let leaf = match tier.identity() {
        Some(tier) => Leaf::Identity(Identity::new(root.id, tier, instance)?),
        None => Leaf::Client,
    };
    Ok(Wanted { cert, key, leaf })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::tests::least;
    use crate::root::tests::root;

    const LIFETIMES: Lifetimes = Lifetimes {
        leaf: Duration::from_secs(90 * 24 * 60 * 60),
    };

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 24 * 60 * 60)
    }

    fn of(of: &SecretOf, root: &Root, found: &Data, now: SystemTime) -> Data {
        folder(of, &least(), 2, root, found, LIFETIMES, now).unwrap()
    }

    #[test]
    fn every_instance_has_its_pair() {
        let now = SystemTime::now();
        let root = root(now);
        let keys = |secret: SecretOf| {
            let data = of(&secret, &root, &Data::new(), now);
            data.into_keys().collect::<Vec<_>>().join(" ")
        };
        let alone = "ca.pem cert.pem key.pem";
        assert_eq!(
            keys(SecretOf::EtcdMember(0)),
            "ca.pem example-etcd-0.cert.pem example-etcd-0.key.pem"
        );
        assert_eq!(keys(SecretOf::EtcdClient), alone);
        assert_eq!(keys(SecretOf::Admin), alone);
        assert_eq!(
            keys(SecretOf::Shard(7)),
            "ca.pem example-7.cert.pem example-7.key.pem"
        );
        assert_eq!(
            keys(SecretOf::Proxy),
            "ca.pem example-proxy-0.cert.pem example-proxy-0.key.pem \
             example-proxy-1.cert.pem example-proxy-1.key.pem"
        );
        assert_eq!(folders(&least(), 2).len(), 3 + 3 + 1 + 2);
    }

    #[test]
    fn what_is_good_stays_and_what_is_due_is_made_in_place() {
        let start = SystemTime::now();
        let root = root(start);
        for secret in folders(&least(), 2) {
            let first = of(&secret, &root, &Data::new(), start);
            assert_eq!(of(&secret, &root, &first, start), first, "{secret:?}");
            assert_eq!(of(&secret, &root, &first, start + days(54)), first);
            let due = next_due(&secret, &least(), &first, LIFETIMES).unwrap();
            let window = start + days(55)..=start + days(65);
            assert!(window.contains(&due), "{due:?}");
            let renewed = of(&secret, &root, &first, start + days(66));
            assert!(renewed.keys().eq(first.keys()));
            assert_eq!(renewed[files::CA], first[files::CA]);
            assert_ne!(renewed, first);
            assert_eq!(super::renewed(&first, &first), [""; 0]);
            assert_eq!(super::renewed(&Data::new(), &first), [""; 0]);
            let told = super::renewed(&first, &renewed);
            assert!(!told.is_empty() && told.iter().all(|it| it.ends_with("cert.pem")));
        }
    }

    #[test]
    fn another_ca_and_another_name_make_everything_anew() {
        let now = SystemTime::now();
        let (one, other) = (root(now), root(now));
        let secret = SecretOf::Directory;
        let first = of(&secret, &one, &Data::new(), now);
        let second = of(&secret, &other, &first, now);
        assert!(first.iter().all(|(key, octets)| second[key] != *octets));
        let mut odd = first.clone();
        let stolen = first["example-directory-1.cert.pem"].clone();
        odd.insert("example-directory-0.cert.pem".to_owned(), stolen);
        odd.insert("example-directory-9.cert.pem".to_owned(), b"x".to_vec());
        let mended = of(&secret, &one, &odd, now);
        assert!(mended.keys().eq(first.keys()));
        assert_ne!(
            mended["example-directory-0.cert.pem"],
            odd["example-directory-0.cert.pem"]
        );
        assert_eq!(
            mended["example-directory-1.key.pem"],
            first["example-directory-1.key.pem"]
        );
    }
}
