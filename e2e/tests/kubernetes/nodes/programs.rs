//! Buzonera's images run as pods, on every node, with no rights at all.

use anyhow::{Result, ensure};
use e2e::images::{IMAGES, TAG};
use e2e::kubernetes::nodes::etcd_image;
use serde_json::json;

use super::support::{done, on_nodes, pod};

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn every_image_runs_on_every_node() {
    on_nodes("programs", async |namespace, _| {
        for (index, recipe) in IMAGES.iter().enumerate() {
            let node = ["node-1", "node-2"][index % 2];
            let image = format!("localhost/{}:{TAG}", recipe.name);
            let said = done(namespace, pod(recipe.name, node, &image, &["--version"])).await?;
            ensure!(said == format!("{} {TAG}\n", recipe.name), "{said}");
        }
        Result::<()>::Ok(())
    })
    .await;
}

/// Its image says as little as upstream's: neither who it is to be, nor what is never to be changed.
#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn etcd_runs_as_whoever_it_is_told_to_be() {
    on_nodes("etcd", async |namespace, _| {
        let mut etcd = pod("etcd", "node-1", &etcd_image(), &["--version"]);
        etcd["spec"]["securityContext"]["runAsUser"] = json!(65532);
        etcd["spec"]["containers"][0]["command"] = json!(["etcd"]);
        let said = done(namespace, etcd).await?;
        ensure!(said.starts_with("etcd Version: 3.6."), "{said}");
        Result::<()>::Ok(())
    })
    .await;
}
