//! What an operator is told.

use std::time::Duration;

use kit::config::{Problem, Settings};

use crate::cluster::validate::Operator;
use crate::pod::release::Release;

kit::settings! {
    /// An operator's configuration.
    pub struct Config {
        /// The namespaces whose MailClusters are kept; * for all.
        pub watch_namespaces: Vec<String> as "NAME,…|*",
        /// Where the images of a MailCluster that names no registry are from; nothing: the nodes' own.
        pub registry: String as "HOST/PATH",
        /// The whole name of etcd's image, for MailClusters that name none.
        pub etcd_image: String as "IMAGE",
        /// How long the certificates of tiers last; they are made anew when a third of it is left.
        pub certificate_lifetime: Duration as DURATION = CERTIFICATES,
        /// How long shards have to be uneven before accounts move for that.
        pub rebalance_after: Duration as DURATION = UNEVEN,
        /// How long a rollout may not come on until it is called halted.
        pub progress_deadline: Duration as DURATION = PROGRESS,
        /// How long after a pod should have ended its node is called lost.
        pub lost_after: Duration as DURATION = LOST,
    }
}

/// Three months: an operator that is away for weeks stops no mail.
const CERTIFICATES: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A shard that restarts, or a burst of mail, is nothing to move accounts for.
const UNEVEN: Duration = Duration::from_secs(60);

/// A large image on a slow line; what a shard recovers counts as coming on.
const PROGRESS: Duration = Duration::from_secs(600);

/// A node that comes back within a minute says itself what has ended there.
const LOST: Duration = Duration::from_secs(60);

/// A pod sees a new certificate a minute and a half after it was written.
const SHORTEST: Duration = Duration::from_secs(6 * 60);

/// Every namespace.
const ALL: &str = "*";

impl Config {
    /// The operator itself, as far as a spec that says nothing means it.
    pub(crate) fn operator(&self) -> Result<Operator, crate::pod::release::BadRelease> {
        Ok(Operator {
            release: env!("CARGO_PKG_VERSION").parse::<Release>()?,
            registry: self.registry.clone(),
            etcd_image: self.etcd_image.clone(),
        })
    }

    /// The namespaces, each once; `[None]`: all of them by one watch.
    pub(crate) fn namespaces(&self) -> Vec<Option<String>> {
        if self.watch_namespaces.iter().any(|name| name == ALL) {
            return vec![None];
        }
        let mut names: Vec<_> = self.watch_namespaces.iter().cloned().map(Some).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_name = |name: &String| name == ALL || wire::ids::is_label(name);
        if self.watch_namespaces.is_empty() || !self.watch_namespaces.iter().all(is_name) {
            let what = "name the namespaces, or write * for all";
            problems.push(Problem::of("watch-namespaces", what));
        }
        if self.etcd_image.is_empty() {
            let what = "name the image of an etcd 3.6, with its tag";
            problems.push(Problem::of("etcd-image", what));
        }
        if self.certificate_lifetime < SHORTEST {
            problems.push(Problem::of("certificate-lifetime", "6m at least"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching(names: &[&str]) -> Config {
        Config {
            watch_namespaces: names.iter().map(|name| (*name).to_owned()).collect(),
            etcd_image: "etcd:v3.6.16".to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn one_watch_for_all_or_one_for_each() {
        assert_eq!(watching(&["a", "*"]).namespaces(), [None]);
        let each = watching(&["b", "a", "b"]).namespaces();
        assert_eq!(each, [Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(watching(&["mail"]).check().is_empty());
        assert_eq!(Config::default().check().len(), 2);
        assert_eq!(watching(&["Mail"]).check().len(), 1);
    }
}
