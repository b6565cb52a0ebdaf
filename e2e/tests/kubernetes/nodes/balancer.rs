//! A Service that asks for a load balancer is reached from this machine, at the port it is meant for.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::wait;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::support::{make, on_nodes, pods, worker};
use crate::support::PATIENCE;

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn a_balanced_service_answers_here_wherever_its_pod_is() {
    on_nodes("balanced", async |namespace, _| {
        let services: Api<Service> = Api::namespaced(namespace.client.clone(), &namespace.name);
        let service = json!({"metadata": {"name": "mail"}, "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "selector": {"app": "serves"},
            "ports": [{"port": 25, "targetPort": 2525}],
        }});
        let service = serde_json::from_value(service)?;
        services.create(&PostParams::default(), &service).await?;
        // The policy is that nodes without a pod of it refuse, so the way has to follow.
        for node in ["node-2", "node-1"] {
            make(namespace, worker("serves", node, &["serve", "2525", node])).await?;
            wait::until(&format!("{node} answers"), PATIENCE, || async {
                let heard = heard(address(&services).await?)?;
                ensure!(heard == node, "{heard:?}");
                Ok(())
            })
            .await?;
            let now = DeleteParams::default().grace_period(0);
            pods(namespace).delete("serves", &now).await?;
        }
        Result::<()>::Ok(())
    })
    .await;
}

async fn address(services: &Api<Service>) -> Result<SocketAddr> {
    let status = services.get("mail").await?.status.unwrap_or_default();
    let ingress = status.load_balancer.and_then(|balancer| balancer.ingress);
    let ingress = ingress.and_then(|all| all.into_iter().next());
    let ip = ingress
        .and_then(|one| one.ip)
        .context("it has no address")?;
    Ok((ip.parse::<std::net::Ipv4Addr>()?, 25).into())
}

/// What is said to whoever connects.
fn heard(address: SocketAddr) -> Result<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    Ok(heard)
}
