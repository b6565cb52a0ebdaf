//! Two MailClusters in one namespace, whose names begin alike, have nothing in common; and a name that
//! would mix them up is refused.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::platform::Condition;
use e2e::wait;
use serde_json::Value;

use crate::platform::{LEAST, Operator, READY, apply, kubelet};
use crate::support::{Namespace, in_namespace};

/// Kinds of what the operator makes.
const KINDS: &str = "secrets,configmaps,services,statefulsets,pods,persistentvolumeclaims,\
                     poddisruptionbudgets,mailboxshards";

#[tokio::test(flavor = "multi_thread")]
async fn they_share_nothing() {
    in_namespace("two", async |namespace| {
        let folder = tempfile::tempdir()?;
        let _kubelet = kubelet(namespace, 44, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        let refused = apply(namespace, &named("a-mx"));
        let refused = refused.err().context("a-mx was taken")?;
        ensure!(
            format!("{refused:#}").contains("do not end it in"),
            "{refused:#}"
        );
        for name in ["a", "a-b"] {
            apply(namespace, &named(name))?;
        }
        for name in ["a", "a-b"] {
            ready(namespace, name).await?;
        }
        let (first, second) = (made(namespace, "a")?, made(namespace, "a-b")?);
        ensure!(first.len() == second.len(), "{first:?} {second:?}");
        let shared: BTreeSet<_> = first.keys().filter(|it| second.contains_key(*it)).collect();
        ensure!(shared.is_empty(), "{shared:?}");
        let roots = [root(namespace, "a")?, root(namespace, "a-b")?];
        ensure!(roots[0] != roots[1], "they have one CA");

        namespace.kubectl(&["delete", "mailcluster", "a", "--cascade=foreground"])?;
        ready(namespace, "a-b").await?;
        let after = made(namespace, "a-b")?;
        ensure!(second == after, "{second:?} {after:?}");
        operator.stop().await
    })
    .await;
}

fn named(name: &str) -> String {
    LEAST.replace("name: example}", &format!("name: {name}}}"))
}

async fn ready(namespace: &Namespace, name: &str) -> Result<()> {
    wait::until(&format!("{name} is Ready"), READY, || async {
        let words = ["get", "mailcluster", name, "--output", "json"];
        let cluster: Value = serde_json::from_str(&namespace.kubectl(&words)?.out)?;
        let ready = Condition::of(&cluster, "Ready")?;
        ensure!(ready.is("True"), "{ready}");
        Ok(())
    })
    .await
}

/// What has a cluster's label: kind and name, and the uid.
pub(crate) fn made(namespace: &Namespace, cluster: &str) -> Result<BTreeMap<String, String>> {
    let label = format!("--selector=buzonera.dev/cluster={cluster}");
    let words = ["get", KINDS, &label, "--output", "json"];
    let list: Value = serde_json::from_str(&namespace.kubectl(&words)?.out)?;
    let items = list["items"].as_array().context("no list")?;
    let word = |item: &Value, path: &str| {
        let found = item.pointer(path).and_then(Value::as_str);
        found.map(str::to_owned).context(path.to_owned())
    };
    items
        .iter()
        .map(|item| {
            let name = word(item, "/metadata/name")?;
            let kind = word(item, "/kind")?;
            Ok((format!("{kind} {name}"), word(item, "/metadata/uid")?))
        })
        .collect()
}

/// Its CA's certificate.
pub(crate) fn root(namespace: &Namespace, cluster: &str) -> Result<String> {
    let secret = format!("{cluster}-ca");
    let path = "jsonpath={.data.ca\\.pem}";
    let words = ["get", "secret", &secret, "--output", path];
    Ok(namespace.kubectl(&words)?.out)
}
