//! Helm installs into the tests' Kubernetes, and takes away what it installed.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::support::on_nodes;

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn a_chart_is_installed_and_uninstalled() {
    on_nodes("helm", async |namespace, cluster| {
        let chart = tempfile::tempdir()?;
        write(chart.path())?;
        let path = chart.path().display().to_string();
        let helm = |words: &[&str]| {
            let within = ["--namespace", "helm"];
            cluster.access().helm(&[&within, words].concat())
        };
        helm(&["install", "example", &path, "--set", "word=perch"])?;
        let maps: Api<ConfigMap> = Api::namespaced(namespace.client.clone(), "helm");
        let data = maps.get("example").await?.data.unwrap_or_default();
        ensure!(
            data.get("word").map(String::as_str) == Some("perch"),
            "{data:?}"
        );
        helm(&["uninstall", "example", "--wait"])?;
        ensure!(maps.get_opt("example").await?.is_none(), "it is there");
        Ok(())
    })
    .await;
}

/// The least chart.
fn write(folder: &Path) -> Result<()> {
    let chart = "apiVersion: v2\nname: least\nversion: 0.1.0\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\n\
               data: {word: '{{ .Values.word }}'}\n";
    fs::create_dir(folder.join("templates"))?;
    fs::write(folder.join("Chart.yaml"), chart)?;
    fs::write(folder.join("templates/map.yaml"), map)?;
    Ok(())
}
