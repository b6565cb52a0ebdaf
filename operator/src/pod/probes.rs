//! What Kubernetes asks a pod. No probe depends on another tier: one that is away would have all
//! others restarted.

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::names::Tier;

/// Restarts a process that does not answer for a minute: less would restart what only waits for a
/// slow disk.
pub(crate) fn liveness(tier: Tier) -> Probe {
    probe(tier, "/livez", 10, 6)
}

/// Takes a pod out of its Services within 6 s.
pub(crate) fn readiness(tier: Tier) -> Probe {
    probe(tier, "/readyz", 3, 2)
}

/// Waits 5 min for the first answer: certificates that come late, an image's first page-in.
pub(crate) fn startup(tier: Tier) -> Probe {
    probe(tier, "/livez", 5, 60)
}

fn probe(tier: Tier, path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(tier.admin_port().name().to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(TIMEOUT),
        success_threshold: Some(1),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// An answer takes a millisecond; a busy node's scheduler may take two seconds.
const TIMEOUT: i32 = 3;
