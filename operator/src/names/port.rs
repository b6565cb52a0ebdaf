//! Ports of containers.

/// A port of a container. None is below 1024: the processes have no right to such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// etcd: its clients.
    EtcdClient,
    /// etcd: its other members.
    EtcdPeer,
    /// etcd: probes and metrics, in plain HTTP.
    EtcdMetrics,
    /// Every tier of ours: probes and metrics, in plain HTTP.
    Admin,
    /// directory: everybody who asks.
    DirectoryRpc,
    /// storage: mx, directory and other shards.
    StorageRpc,
    /// storage: sessions that a proxy hands over.
    Mail,
    /// mx: whoever administers its spool.
    MxRpc,
    /// mx: mail from other servers.
    Smtp,
    /// mx: likewise, behind a balancer that speaks the PROXY protocol.
    SmtpProxied,
    /// mx: mail from servers of ours.
    Lmtp,
    /// proxy: POP3.
    Pop3,
    /// proxy: likewise, behind a balancer that speaks the PROXY protocol.
    Pop3Proxied,
    /// proxy: POP3 over TLS.
    Pop3s,
    /// proxy: likewise, behind a balancer that speaks the PROXY protocol.
    Pop3sProxied,
}

impl Port {
    /// Every port.
    pub const ALL: [Self; 15] = [
        Self::EtcdClient,
        Self::EtcdPeer,
        Self::EtcdMetrics,
        Self::Admin,
        Self::DirectoryRpc,
        Self::StorageRpc,
        Self::Mail,
        Self::MxRpc,
        Self::Smtp,
        Self::SmtpProxied,
        Self::Lmtp,
        Self::Pop3,
        Self::Pop3Proxied,
        Self::Pop3s,
        Self::Pop3sProxied,
    ];

    /// Its number in the container.
    pub fn number(self) -> u16 {
        match self {
            Self::EtcdClient => 2379,
            Self::EtcdPeer => 2380,
            Self::EtcdMetrics => 2381,
            Self::Admin => 9400,
            Self::DirectoryRpc => 7400,
            Self::StorageRpc => 7410,
            Self::Mail => 7411,
            Self::MxRpc => 7425,
            Self::Smtp => 2525,
            Self::SmtpProxied => 3525,
            Self::Lmtp => 2424,
            Self::Pop3 => 1110,
            Self::Pop3Proxied => 3110,
            Self::Pop3s => 1995,
            Self::Pop3sProxied => 3995,
        }
    }

    /// Its name in the container and in Services: 15 octets at most (RFC 6335 section 5.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::EtcdClient => "client",
            Self::EtcdPeer => "peer",
            Self::EtcdMetrics => "metrics",
            Self::Admin => "admin",
            Self::DirectoryRpc | Self::StorageRpc | Self::MxRpc => "rpc",
            Self::Mail => "mail",
            Self::Smtp => "smtp",
            Self::SmtpProxied => "smtp-proxied",
            Self::Lmtp => "lmtp",
            Self::Pop3 => "pop3",
            Self::Pop3Proxied => "pop3-proxied",
            Self::Pop3s => "pop3s",
            Self::Pop3sProxied => "pop3s-proxied",
        }
    }

    /// A `--…-listen` for it: at every address of the pod.
    pub fn listen(self) -> String {
        format!("*:{}", self.number())
    }

    /// Likewise, where nobody outside of the pod can connect: a port that no Service names.
    pub fn listen_inside(self) -> String {
        format!("127.0.0.1:{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_need_no_right_and_are_all_different() {
        let numbers: BTreeSet<_> = Port::ALL.iter().map(|port| port.number()).collect();
        assert_eq!(numbers.len(), Port::ALL.len());
        assert!(numbers.iter().all(|number| *number >= 1024));
    }

    #[test]
    fn names_are_short_enough() {
        for port in Port::ALL {
            let name = port.name();
            assert!(wire::ids::is_label(name) && name.len() <= 15, "{name}");
        }
    }
}
