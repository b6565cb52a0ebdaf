//! What a container asks for.

use std::collections::BTreeMap;

use crds::pod::Resources;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::names::Tier;

type Quantities = BTreeMap<String, Quantity>;

/// What somebody wrote, as a whole, or requests that fit the tier. Not a mixture: Kubernetes makes
/// requests out of limits where there are none, and ours could be above them.
pub(crate) fn of(tier: Tier, written: &Resources) -> ResourceRequirements {
    let Resources { requests, limits } = written;
    if requests.is_empty() && limits.is_empty() {
        return ResourceRequirements {
            requests: Some(fitting(tier)),
            ..ResourceRequirements::default()
        };
    }
    ResourceRequirements {
        requests: quantities(requests),
        limits: quantities(limits),
        claims: None,
    }
}

/// mx holds 256 MiB of bodies, the directory its map, a shard its index' cache. There are no limits:
/// one of memory ends whoever passes it, and one of the processor slows what others wait for.
fn fitting(tier: Tier) -> Quantities {
    let (cpu, memory) = match tier {
        Tier::Etcd => ("100m", "256Mi"),
        Tier::Directory | Tier::Storage => ("250m", "512Mi"),
        Tier::Proxy => ("100m", "128Mi"),
        Tier::Mx => ("100m", "384Mi"),
    };
    let pairs = [("cpu", cpu), ("memory", memory)];
    let pair = |(name, amount): (&str, &str)| (name.to_owned(), Quantity(amount.to_owned()));
    pairs.map(pair).into()
}

fn quantities(written: &BTreeMap<String, IntOrString>) -> Option<Quantities> {
    let text = |amount: &IntOrString| match amount {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    let pairs = written.iter();
    let quantities = pairs.map(|(name, amount)| (name.clone(), Quantity(text(amount))));
    (!written.is_empty()).then(|| quantities.collect())
}
