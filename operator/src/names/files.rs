//! Keys of Secrets and ConfigMaps, which are files in the pods, and where they are mounted.

/// The CA bundle of an identity.
pub const CA: &str = "ca.pem";
/// The certificate of a folder's only pair, or its default one.
pub const CERT: &str = "cert.pem";
/// Its private key.
pub const KEY: &str = "key.pem";

/// In the ConfigMap of peers: one `INSTANCE=HOST:PORT` a line.
pub const PEERS: &str = "list";

/// In etcd's ConfigMap: its members, `NAME=URL,…`.
pub const ETCD_INITIAL_CLUSTER: &str = "ETCD_INITIAL_CLUSTER";
/// In etcd's ConfigMap: whether a member without data may begin a new store.
pub const ETCD_INITIAL_CLUSTER_STATE: &str = "ETCD_INITIAL_CLUSTER_STATE";

/// In a Secret of certificates that somebody brings: the chain.
pub const TLS_CERT: &str = "tls.crt";
/// Its private key.
pub const TLS_KEY: &str = "tls.key";
/// In a Secret with the CA of clients.
pub const CLIENT_CA: &str = "ca.crt";

/// Certificate and key of one of several instances of a folder.
pub fn pair(instance: &str) -> (String, String) {
    (format!("{instance}.{CERT}"), format!("{instance}.{KEY}"))
}
