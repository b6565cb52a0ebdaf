//! The Services in front of a tier, and the ports of containers that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use crds::MailClusterSpec;
use crds::mail_cluster::{MxPort, ProxyPort};
use crds::service::{ExternalTrafficPolicy, Port as SpecPort, Service as SpecService, ServiceType};
use kit::listener::Network;

use super::Invalid;
use crate::cluster::shape::{Doors, Service, ServicePort};
use crate::names::{Port, is_service_name};

/// What is spoken at a port of a tier.
pub(super) trait Spoken: Copy {
    /// Its name in the spec, and in the Service.
    fn name(self) -> &'static str;
    /// The container's port; another one where each connection begins with a PROXY header.
    fn target(self, proxied: bool) -> Port;
}

impl Spoken for MxPort {
    fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }

    /// The definition's rules refuse lmtp behind a balancer.
    fn target(self, proxied: bool) -> Port {
        match (self, proxied) {
            (Self::Smtp, false) => Port::Smtp,
            (Self::Smtp, true) => Port::SmtpProxied,
            (Self::Lmtp, false | true) => Port::Lmtp,
        }
    }
}

impl Spoken for ProxyPort {
    fn name(self) -> &'static str {
        match self {
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
        }
    }

    fn target(self, proxied: bool) -> Port {
        match (self, proxied) {
            (Self::Pop3, false) => Port::Pop3,
            (Self::Pop3, true) => Port::Pop3Proxied,
            (Self::Pop3s, false) => Port::Pop3s,
            (Self::Pop3s, true) => Port::Pop3sProxied,
        }
    }
}

/// The Services of a tier. What one of them trusts all do: behind them are the same pods.
pub(super) fn doors<P: Spoken>(
    tier: &'static str,
    services: &[SpecService<P>],
) -> Result<Doors, Invalid> {
    let mut trusted = BTreeSet::new();
    for service in services {
        let proxied = service.proxy_protocol.iter();
        for network in proxied.flat_map(|proxied| &proxied.trusted_from) {
            let parsed: Result<Network, _> = network.parse();
            let parsed = parsed.map_err(|_| Invalid::Network {
                tier,
                service: service.name.clone(),
                network: network.clone(),
            })?;
            trusted.insert(String::from(parsed));
        }
    }
    let services = services.iter().map(|service| resolve(tier, service));
    Ok(Doors {
        services: services.collect::<Result<_, _>>()?,
        trusted,
    })
}

fn resolve<P: Spoken>(tier: &'static str, service: &SpecService<P>) -> Result<Service, Invalid> {
    let SpecService {
        name,
        kind,
        annotations,
        load_balancer_class,
        external_traffic_policy,
        proxy_protocol,
        client_ca: _,
        ports,
    } = service;
    if !is_service_name(name) {
        return Err(Invalid::ServiceName {
            tier,
            service: name.clone(),
        });
    }
    let ports = ports.iter().map(|port| {
        let number = |number| {
            let parsed = u16::try_from(number).ok().filter(|number| *number > 0);
            parsed.ok_or_else(|| Invalid::ServicePort {
                tier,
                service: name.clone(),
                number,
            })
        };
        let SpecPort {
            name,
            port,
            node_port,
        } = port;
        Ok(ServicePort {
            name: name.name(),
            number: number(*port)?,
            node_port: node_port.map(number).transpose()?,
            target: name.target(proxy_protocol.is_some()),
        })
    });
    Ok(Service {
        name: name.clone(),
        kind: *kind,
        annotations: annotations.clone(),
        load_balancer_class: load_balancer_class.clone(),
        traffic: traffic(*kind, *external_traffic_policy),
        ports: ports.collect::<Result<_, Invalid>>()?,
    })
}

/// The client's address is worth more than an even spread: throttling and Received need it.
fn traffic(
    kind: ServiceType,
    written: Option<ExternalTrafficPolicy>,
) -> Option<ExternalTrafficPolicy> {
    match kind {
        ServiceType::LoadBalancer | ServiceType::NodePort => {
            Some(written.unwrap_or(ExternalTrafficPolicy::Local))
        }
        ServiceType::ClusterIP => None,
    }
}

/// The one CA that mx asks LMTP's clients for a certificate of; none: the cluster's own.
pub(super) fn client_ca(services: &[SpecService<MxPort>]) -> Result<Option<String>, Invalid> {
    let mut services = services.iter().filter(|service| has_lmtp(service));
    let Some(first) = services.next() else {
        return Ok(None);
    };
    match services.find(|service| service.client_ca != first.client_ca) {
        Some(second) => Err(Invalid::ClientCas {
            first: first.name.clone(),
            second: second.name.clone(),
        }),
        None => Ok(first.client_ca.as_ref().map(|ca| ca.secret_name.clone())),
    }
}

fn has_lmtp(service: &SpecService<MxPort>) -> bool {
    service.ports.iter().any(|port| match port.name {
        MxPort::Lmtp => true,
        MxPort::Smtp => false,
    })
}

/// Two Services cannot have one port of the nodes, whatever tier they are in front of.
pub(super) fn check_node_ports(spec: &MailClusterSpec) -> Result<(), Invalid> {
    let mx = spec
        .mx
        .services
        .iter()
        .flat_map(|service| asked("mx", service));
    let proxy = spec
        .proxy
        .services
        .iter()
        .flat_map(|service| asked("proxy", service));
    let mut taken = BTreeMap::new();
    for (number, whose) in mx.chain(proxy) {
        if let Some(first) = taken.insert(number, whose.clone()) {
            return Err(Invalid::NodePortTwice {
                number,
                first,
                second: whose,
            });
        }
    }
    Ok(())
}

fn asked<P: Spoken>(tier: &str, service: &SpecService<P>) -> Vec<(i32, String)> {
    let ports = service.ports.iter();
    let named = ports.filter_map(|port| {
        let whose = format!("{tier}.services {} {}", service.name, port.name.name());
        Some((port.node_port?, whose))
    });
    named.collect()
}
