//! Services: the doors that people asked for, and names of pods.

use crds::service::{ExternalTrafficPolicy, ServiceType};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{Cluster, shape};
use crate::names::labels::{self, Instance};
use crate::names::{Owner, Port, Tier};
use crate::objects::{Kind, Object, Place, metadata};

/// All Services.
pub(super) fn all(cluster: &Cluster, owner: &Owner) -> Result<Vec<Object>, serde_json::Error> {
    let mut services = names_of_pods(cluster, owner)?;
    for door in &cluster.proxy.doors.services {
        let name = cluster.name.proxy_service(&door.name);
        services.push(leading(cluster, owner, Tier::Proxy, name, door)?);
    }
    for door in &cluster.mx.doors.services {
        let name = cluster.name.mx_service(&door.name);
        services.push(leading(cluster, owner, Tier::Mx, name, door)?);
    }
    Ok(services)
}

/// By these Services pods have names, ready or not: etcd's members find each other before any of
/// them is ready, and whoever looks into a sick pod calls it by name.
fn names_of_pods(cluster: &Cluster, owner: &Owner) -> Result<Vec<Object>, serde_json::Error> {
    let name = &cluster.name;
    let all: [(_, _, &[Port]); 4] = [
        (Tier::Etcd, name.etcd(), &[Port::EtcdClient, Port::EtcdPeer]),
        (Tier::Directory, name.directory(), &[Port::DirectoryRpc]),
        (
            Tier::Storage,
            name.shards(),
            &[Port::StorageRpc, Port::Mail],
        ),
        (Tier::Mx, name.mx_rpc(), &[Port::MxRpc]),
    ];
    let services = all.into_iter().map(|(tier, name, ports)| {
        let spec = ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ports: Some(ports.iter().copied().map(same).collect()),
            ..inside(cluster, tier)
        };
        let service = Service {
            metadata: metadata(cluster, owner, whole(tier), name),
            spec: Some(spec),
            status: None,
        };
        object(tier, &service)
    });
    services.collect()
}

/// A door that somebody asked for. Numbers that Kubernetes gives are not sent: what is sent would be
/// taken away from another one, or refused.
fn leading(
    cluster: &Cluster,
    owner: &Owner,
    tier: Tier,
    name: String,
    door: &shape::Service,
) -> Result<Object, serde_json::Error> {
    let shape::Service {
        name: _,
        kind,
        annotations,
        load_balancer_class,
        traffic,
        ports,
    } = door;
    let mut metadata = metadata(cluster, owner, whole(tier), name);
    metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    let spec = ServiceSpec {
        type_: Some(type_of(*kind).to_owned()),
        load_balancer_class: load_balancer_class.clone(),
        external_traffic_policy: traffic.map(|traffic| policy(traffic).to_owned()),
        ports: Some(ports.iter().map(port).collect()),
        ..inside(cluster, tier)
    };
    let service = Service {
        metadata,
        spec: Some(spec),
        status: None,
    };
    object(tier, &service)
}

/// What all Services have in common. Whoever has one family of addresses gets that one.
fn inside(cluster: &Cluster, tier: Tier) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        ip_family_policy: Some("PreferDualStack".to_owned()),
        internal_traffic_policy: Some("Cluster".to_owned()),
        session_affinity: Some("None".to_owned()),
        selector: Some(labels::selector(&cluster.name, tier, Instance::All)),
        ..ServiceSpec::default()
    }
}

fn whole(tier: Tier) -> Place {
    Place {
        tier,
        instance: Instance::All,
    }
}

fn object(tier: Tier, service: &Service) -> Result<Object, serde_json::Error> {
    let value = serde_json::to_value(service)?;
    Ok(Object::new(Kind::Service, whole(tier), value))
}

/// The container's own number.
fn same(port: Port) -> ServicePort {
    service_port(port.name(), port.number(), port)
}

fn port(port: &shape::ServicePort) -> ServicePort {
    ServicePort {
        node_port: port.node_port.map(i32::from),
        ..service_port(port.name, port.number, port.target)
    }
}

fn service_port(name: &str, number: u16, target: Port) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(target.name().to_owned())),
        ..ServicePort::default()
    }
}

fn type_of(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::NodePort => "NodePort",
        ServiceType::ClusterIP => "ClusterIP",
    }
}

fn policy(policy: ExternalTrafficPolicy) -> &'static str {
    match policy {
        ExternalTrafficPolicy::Local => "Local",
        ExternalTrafficPolicy::Cluster => "Cluster",
    }
}
