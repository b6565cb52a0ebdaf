//! What a process may do: nothing that mail does not need. Kubernetes' *restricted* Pod Security
//! level takes all of it.

use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

use crate::names::Tier;

/// The user and the group of our images, and of the files on their volumes.
pub(crate) const USER: i64 = 65532;

/// Of the pod. etcd's image names no user, so one is written for it; ours do.
pub(crate) fn of_pod(tier: Tier) -> PodSecurityContext {
    let run_as_user = match tier {
        Tier::Etcd => Some(USER),
        Tier::Directory | Tier::Storage | Tier::Proxy | Tier::Mx => None,
    };
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user,
        fs_group: Some(USER),
        // A walk over a million files at each start would take minutes.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Of the container.
pub(crate) fn of_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}
