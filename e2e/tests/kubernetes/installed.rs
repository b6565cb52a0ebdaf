//! A Kubernetes takes the definitions as they lie in the chart: the cost of their rules too, and
//! without a warning.

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use crate::support::{definitions, in_namespace};

#[tokio::test]
async fn the_definitions_are_accepted_without_a_warning() {
    in_namespace("installed", async |namespace| {
        let files = definitions().display().to_string();
        let said = namespace.kubectl(&["replace", "--dry-run=server", "--filename", &files])?;
        ensure!(said.err.is_empty(), "{}", said.err);
        ensure!(said.out.lines().count() == 2, "{}", said.out);
        let all: Api<CustomResourceDefinition> = Api::all(namespace.client.clone());
        for name in ["mailclusters.buzonera.dev", "mailboxshards.buzonera.dev"] {
            well_received(&all.get(name).await?)?;
        }
        Ok(())
    })
    .await;
}

/// The API server says in conditions what it thinks of a definition that it took.
fn well_received(definition: &CustomResourceDefinition) -> Result<()> {
    let status = definition.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let mut seen: Vec<_> = conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
        .collect();
    seen.sort_unstable();
    let wanted = [("Established", "True"), ("NamesAccepted", "True")];
    ensure!(seen == wanted, "{conditions:?}");
    Ok(())
}
