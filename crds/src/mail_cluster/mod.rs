//! A mail platform, by what people want of it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::rules::{self, matches, rule};

mod directory;
mod domain;
mod image;
mod mx;
mod proxy;
mod rebalance;
mod shard_defaults;
mod status;
mod tls;

pub use directory::{Directory, Etcd, Store};
pub use domain::Domain;
pub use image::{Image, PullPolicy};
pub use mx::{Mx, MxPort};
pub use proxy::{Proxy, ProxyPort};
pub use rebalance::{PerShard, Rebalance, RebalanceMode};
pub use shard_defaults::ShardDefaults;
pub use status::{Flow, FlowReason, MailClusterStatus, RebalanceStatus, Spread, Summary};
pub use tls::{Certificate, Tls};

/// What is wanted of a mail platform. Two fields have to be written: hostname and shards.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "buzonera.dev",
    version = "v1alpha1",
    kind = "MailCluster",
    plural = "mailclusters",
    shortname = "mc",
    category = "buzonera",
    namespaced,
    status = "MailClusterStatus",
    derive = "PartialEq",
    annotation("helm.sh/resource-policy", "keep"),
    doc = "A mail platform: mx takes mail in, shards keep it, the proxy lets mail programs read it, \
           and the directory knows where each account is. Its volumes and the Secret NAME-ca stay \
           when it is deleted; applying it again under the same name brings everything back.",
    scale(
        spec_replicas_path = ".spec.shards",
        status_replicas_path = ".status.shards"
    ),
    printcolumn(
        name = "Shards", type_ = "string", json_path = ".status.summary.shards",
        description = "Shards that serve, of all"
    ),
    printcolumn(
        name = "Accounts", type_ = "integer", json_path = ".status.accounts",
        description = "Accounts on all shards"
    ),
    printcolumn(
        name = "Moves", type_ = "integer", json_path = ".status.moves",
        description = "Moves of accounts that are open"
    ),
    printcolumn(
        name = "Version", type_ = "string", json_path = ".status.version",
        description = "The release that all tiers run"
    ),
    printcolumn(
        name = "Ready", type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether every account is served"
    ),
    printcolumn(
        name = "Reason", type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is Ready, or not"
    ),
    printcolumn(
        name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp",
        description = "Since when it exists"
    ),
    validation = matches_name(),
    validation = no_name_of_another()
)]
#[serde(rename_all = "camelCase")]
pub struct MailClusterSpec {
    /// The release of all tiers, for example 0.1.0: one of the operator's minor version or the one
    /// before. Left out: the operator's when this was first applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = matches(
        "^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?$",
        "version: write a release, for example 0.1.0",
    ))]
    pub version: Option<String>,
    /// Where the images come from.
    #[serde(default)]
    pub image: Image,
    /// The full name that mail servers and mail programs know this platform by, for example
    /// mail.example.org: the MX record of each domain, and the name in greetings.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::host(
        "hostname: write a full name in lower case, for example mail.example.org",
    ))]
    pub hostname: String,
    /// Domains to take mail for. One that is missing is added; one that is dropped here stays:
    /// removing a domain is for `buzonera domain remove`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub domains: Vec<Domain>,
    /// How many shards the operator makes and keeps. More: they are made, and accounts move to them.
    /// Fewer: accounts move away from those with the highest numbers first, which then leave, and
    /// their volumes stay. 0: there are only the MailboxShards that somebody wrote.
    #[schemars(range(min = 0, max = 1000))]
    pub shards: i32,
    /// How shards are, unless their MailboxShard says otherwise. What changes here changes in all
    /// shards that follow it.
    #[serde(default)]
    pub shard_defaults: ShardDefaults,
    /// The tier that takes mail in.
    #[serde(default)]
    pub mx: Mx,
    /// The tier that mail programs come to.
    #[serde(default)]
    pub proxy: Proxy,
    /// The tier that knows where each account is.
    #[serde(default)]
    pub directory: Directory,
    /// How accounts are spread over the shards.
    #[serde(default)]
    pub rebalance: Rebalance,
    /// Certificates for those who come from outside. Left out: one that the cluster's own CA signs,
    /// which no mail program trusts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Tls,
}

fn matches_name() -> kube::core::Rule {
    rule(
        "self.metadata.name.matches('^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$')",
        "metadata.name: write 1 to 40 of a-z, 0-9 and '-', beginning with a letter; \
         pods, Services and certificates carry it",
    )
}

fn no_name_of_another() -> kube::core::Rule {
    rule(
        "!self.metadata.name.matches('-(ca|etcd|directory|mx|proxy|public)$')",
        "metadata.name: do not end it in -ca, -etcd, -directory, -mx, -proxy or -public: \
         objects of another cluster are called so",
    )
}

#[cfg(test)]
mod tests {
    use kube::core::object::HasSpec as _;

    use super::*;
    use crate::definition::tests::lost;
    use crate::service::ServiceType;

    const EXAMPLE: &str = include_str!("example.yaml");
    const LEAST: &str = "{apiVersion: buzonera.dev/v1alpha1, kind: MailCluster, \
                         metadata: {name: example}, spec: {hostname: mail.example.org, shards: 1}}";

    #[test]
    fn no_field_of_the_example_is_lost() {
        assert_eq!(lost::<MailCluster>(EXAMPLE), [""; 0]);
    }

    #[test]
    fn two_fields_are_enough() {
        let least: MailCluster = serde_saphyr::from_str(LEAST).unwrap();
        let spec = least.spec();
        assert_eq!(spec.shard_defaults.storage.size, "100Gi");
        assert_eq!(spec.image.pull_policy, PullPolicy::IfNotPresent);
        assert_eq!((spec.mx.replicas, spec.proxy.replicas), (2, None));
        let smtp = &spec.mx.services[0];
        assert_eq!(
            (smtp.kind, smtp.ports[0].port),
            (ServiceType::LoadBalancer, 25)
        );
        assert_eq!(spec.proxy.services[0].ports[0].name, ProxyPort::Pop3s);
        let etcd = spec.directory.store.etcd.as_ref().unwrap();
        assert_eq!((etcd.replicas, etcd.storage.size.as_str()), (3, "20Gi"));
        assert_eq!(spec.rebalance.mode, RebalanceMode::Auto);
        assert_eq!(spec.rebalance.per_shard.bytes_per_second, "50Mi");
    }

    #[test]
    fn an_unknown_field_keeps_no_object_from_being_read() {
        let newer = LEAST.replace("shards: 1", "shards: 1, colour: {of: doors}");
        let newer: MailCluster = serde_saphyr::from_str(&newer).unwrap();
        assert_eq!(newer, serde_saphyr::from_str(LEAST).unwrap());
    }

    #[test]
    fn what_is_opaque_is_kept_as_it_is() {
        let affinity = "{someDay: {all: [of, this]}, and: 3}";
        let with = LEAST.replace(
            "shards: 1",
            &format!("shards: 1, mx: {{pod: {{affinity: {affinity}}}}}"),
        );
        assert_eq!(lost::<MailCluster>(&with), [""; 0]);
    }

    #[test]
    fn a_port_is_one_of_its_tier() {
        let wrong = LEAST.replace(
            "shards: 1",
            "shards: 1, mx: {services: [{name: a, ports: [{name: pop3, port: 110}]}]}",
        );
        assert!(serde_saphyr::from_str::<MailCluster>(&wrong).is_err());
    }
}
