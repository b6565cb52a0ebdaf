//! A load balancer in front of the nodes: each Service that asks for one has an address, and this
//! machine sends what is for it to a node that takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::addresses::Net;
use super::commands::run;

/// By a Service's uid: its address, and the node behind it.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    served: BTreeMap<String, Served>,
}

#[derive(Debug, PartialEq, Eq)]
struct Served {
    address: Ipv4Addr,
    behind: Option<Ipv4Addr>,
}

impl Balancer {
    /// Gives addresses to those that ask, and follows their pods.
    pub(super) async fn look(&mut self, client: &Client, net: Net) -> Result<()> {
        let all = ListParams::default();
        let services: Api<Service> = Api::all(client.clone());
        let asking: Vec<Service> = services.list(&all).await?.items;
        let asking: Vec<Service> = asking.into_iter().filter(asks).collect();
        self.forget(&asking)?;
        if asking.is_empty() {
            return Ok(());
        }
        let nodes: Api<Node> = Api::all(client.clone());
        let ready = nodes.list(&all).await?.items;
        let ready: BTreeMap<String, Ipv4Addr> = ready.iter().filter_map(ready_at).collect();
        let slices: Api<EndpointSlice> = Api::all(client.clone());
        let slices = slices.list(&all).await?.items;
        for service in asking {
            let address = self.address(&service, net)?;
            tell(client, &service, address).await?;
            self.send(&service, &takers(&service, &slices, &ready))?;
        }
        Ok(())
    }

    fn forget(&mut self, asking: &[Service]) -> Result<()> {
        let uids: BTreeSet<&str> = asking.iter().filter_map(uid).collect();
        let gone = |uid: &String, _: &mut Served| !uids.contains(uid.as_str());
        let gone: Vec<_> = self.served.extract_if(.., gone).collect();
        for (_, served) in gone.iter().filter(|(_, served)| served.behind.is_some()) {
            run("ip", &["route", "delete", &route(served.address)])?;
        }
        Ok(())
    }

    /// The one that the Service has, or the first that is free.
    fn address(&mut self, service: &Service, net: Net) -> Result<Ipv4Addr> {
        let uid = uid(service).context("a Service without a uid")?;
        if let Some(served) = self.served.get(uid) {
            return Ok(served.address);
        }
        let taken = |address: &Ipv4Addr| self.served.values().any(|one| one.address == *address);
        let address = net.balanced().find(|address| !taken(address));
        let address = address.context("every address for load balancers is taken")?;
        let behind = None;
        self.served
            .insert(uid.to_owned(), Served { address, behind });
        Ok(address)
    }

    /// Sends what is for it to one of those that take it.
    fn send(&mut self, service: &Service, takers: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let served = uid(service).and_then(|uid| self.served.get_mut(uid));
        let served = served.context("a Service without an address")?;
        let chosen = choose(served.behind, takers);
        if chosen == served.behind {
            return Ok(());
        }
        let to = route(served.address);
        match chosen {
            Some(node) => run("ip", &["route", "replace", &to, "via", &node.to_string()])?,
            None => run("ip", &["route", "delete", &to])?,
        };
        served.behind = chosen;
        Ok(())
    }
}

fn uid(service: &Service) -> Option<&str> {
    service.metadata.uid.as_deref()
}

fn route(address: Ipv4Addr) -> String {
    format!("{address}/32")
}

/// One with a class asks another load balancer.
fn asks(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let going = service.metadata.deletion_timestamp.is_some();
    spec.is_some_and(|spec| {
        spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none()
    }) && !going
}

/// A node's name and address, if it is ready.
fn ready_at(node: &Node) -> Option<(String, Ipv4Addr)> {
    let status = node.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
    let mut addresses = status.addresses.iter().flatten();
    let address = addresses.find(|one| one.type_ == "InternalIP")?;
    let address = address.address.parse().ok()?;
    ready.then(|| node.metadata.name.clone().map(|name| (name, address)))?
}

/// The nodes that take what is for it: with the policy `Local` those that have a ready pod of it.
fn takers(
    service: &Service,
    slices: &[EndpointSlice],
    ready: &BTreeMap<String, Ipv4Addr>,
) -> BTreeSet<Ipv4Addr> {
    let policy = service.spec.as_ref();
    let policy = policy.and_then(|spec| spec.external_traffic_policy.as_deref());
    if policy != Some("Local") {
        return ready.values().copied().collect();
    }
    let ours = |slice: &&EndpointSlice| {
        let labels = slice.metadata.labels.as_ref();
        let of = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
        slice.metadata.namespace == service.metadata.namespace
            && of == service.metadata.name.as_ref()
    };
    let endpoints = slices
        .iter()
        .filter(ours)
        .flat_map(|slice| &slice.endpoints);
    let serving = endpoints.filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_some_and(|conditions| conditions.ready == Some(true))
    });
    let nodes = serving.filter_map(|endpoint| ready.get(endpoint.node_name.as_ref()?));
    nodes.copied().collect()
}

/// Whoever has it keeps it while it can.
fn choose(now: Option<Ipv4Addr>, takers: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    now.filter(|now| takers.contains(now))
        .or(takers.first().copied())
}

/// Writes it where users and the nodes read it.
async fn tell(client: &Client, service: &Service, address: Ipv4Addr) -> Result<()> {
    let said = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let mut said = said
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten();
    if said.any(|ingress| ingress.ip.as_deref() == Some(&address.to_string())) {
        return Ok(());
    }
    let metadata = &service.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    let patch = Patch::Merge(status);
    services
        .patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 100, last)
    }

    fn service(policy: &str) -> Service {
        let service = json!({
            "metadata": {"name": "mail", "namespace": "a", "uid": "7"},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": policy},
        });
        serde_json::from_value(service).unwrap()
    }

    #[test]
    fn only_nodes_with_a_ready_pod_take_what_is_to_stay_local() {
        let ready = [("node-1".to_owned(), at(1)), ("node-2".to_owned(), at(2))].into();
        let endpoint = |node: &str, ready: bool| json!({"addresses": ["198.19.128.2"], "nodeName": node, "conditions": {"ready": ready}});
        let slice = json!({
            "metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": "mail"}},
            "addressType": "IPv4",
            "endpoints": [endpoint("node-1", false), endpoint("node-2", true)],
            "ports": [],
        });
        let slices = [serde_json::from_value(slice).unwrap()];
        let local = takers(&service("Local"), &slices, &ready);
        assert_eq!(local, [at(2)].into());
        let any = takers(&service("Cluster"), &slices, &ready);
        assert_eq!(any, [at(1), at(2)].into());
    }

    #[test]
    fn a_node_keeps_what_it_has_while_it_takes_it() {
        let both = [at(1), at(2)].into();
        assert_eq!(choose(None, &both), Some(at(1)));
        assert_eq!(choose(Some(at(2)), &both), Some(at(2)));
        assert_eq!(choose(Some(at(2)), &[at(1)].into()), Some(at(1)));
        assert_eq!(choose(Some(at(2)), &BTreeSet::new()), None);
    }

    #[test]
    fn each_service_has_an_address_of_its_own() {
        let net = Net::all().next().unwrap();
        let mut balancer = Balancer::default();
        let first = balancer.address(&service("Local"), net).unwrap();
        assert_eq!(balancer.address(&service("Local"), net).unwrap(), first);
        let mut other = service("Local");
        other.metadata.uid = Some("8".to_owned());
        assert_ne!(balancer.address(&other, net).unwrap(), first);
    }
}
