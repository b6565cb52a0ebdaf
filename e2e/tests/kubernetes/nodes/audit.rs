//! The API server notes what programs in pods write, so that tests can count it.

use anyhow::ensure;
use e2e::kubernetes::nodes::Write;
use e2e::wait;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use super::support::on_nodes;
use crate::support::PATIENCE;

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn writes_of_a_service_account_are_noted_and_nothing_else() {
    on_nodes("audit", async |namespace, cluster| {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(namespace.client.clone(), &namespace.name);
        wait::until("there is a service account", PATIENCE, || async {
            accounts.get("default").await
        })
        .await?;
        let client = namespace.access.client_as("audit", "default").await?;
        let maps: Api<ConfigMap> = Api::namespaced(client, "audit");
        // It may do neither; refusals are noted too.
        ensure!(
            maps.list(&ListParams::default()).await.is_err(),
            "it may read"
        );
        let map = serde_json::from_value(json!({"metadata": {"name": "note"}}))?;
        let made = maps.create(&PostParams::default(), &map).await;
        ensure!(made.is_err(), "it may write");
        let writes = cluster.writes("system:serviceaccount:audit:default")?;
        let wanted = Write {
            verb: "create".to_owned(),
            resource: "configmaps".to_owned(),
            namespace: "audit".to_owned(),
            // In a refused one it is still in the body.
            name: String::new(),
            code: 403,
        };
        ensure!(writes == [wanted], "{writes:?}");
        Ok(())
    })
    .await;
}
