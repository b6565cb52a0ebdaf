//! Annotations that are ours, to read and to write.

/// On a pod: the release that its template is of.
pub const RELEASE: &str = "buzonera.dev/release";
/// On an etcd member's pod: the fingerprint of etcd's CA, which it reads once, when it starts.
pub const ETCD_CA: &str = "buzonera.dev/etcd-ca";
/// On a MailCluster, "true": nothing is applied and nothing moves.
pub const PAUSE: &str = "buzonera.dev/pause";
/// On a MailCluster: the plan that may run once.
pub const APPROVE: &str = "buzonera.dev/approve";
/// On a MailCluster: kept free for one restore of all volumes.
pub const RESTORE: &str = "buzonera.dev/restore";
/// On what the deletion guard watches, "yes": it may be deleted.
pub const ALLOW_DELETE: &str = "buzonera.dev/allow-delete";
/// On the StatefulSet of an mx, "true": it leaves, and its door may be shut.
pub const LEAVING: &str = "buzonera.dev/leaving";
/// On a shard's StatefulSet: the revision and the incarnation at which it was last restarted for a
/// rollout.
pub const RESTARTED: &str = "buzonera.dev/restarted";
