//! The cluster's DNS knows Services by their names.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::support::{done, on_nodes, worker};

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn a_service_is_found_by_its_name_from_every_node() {
    on_nodes("names", async |namespace, _| {
        let services: Api<Service> = Api::namespaced(namespace.client.clone(), &namespace.name);
        let service = json!({"metadata": {"name": "mail"}, "spec": {"ports": [{"port": 25}]}});
        let service: Service = serde_json::from_value(service)?;
        let made = services.create(&PostParams::default(), &service).await?;
        let address = made
            .spec
            .and_then(|spec| spec.cluster_ip)
            .unwrap_or_default();
        for (node, name) in [
            ("node-1", "mail"),
            ("node-2", "mail.names.svc.cluster.local"),
        ] {
            let said = done(namespace, worker("asks", node, &["resolve", name])).await?;
            ensure!(said.trim() == address, "{said}, and not {address}");
        }
        Result::<()>::Ok(())
    })
    .await;
}
