//! Each rule of the definitions, asked of the API server: what it refuses comes with its sentence.

use anyhow::{Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::support::{Namespace, in_namespace};

mod mail_cluster;
mod mailbox_shard;

/// What is asked of the API server.
struct Case {
    /// What it is about.
    about: &'static str,
    /// How the object is before, beside what is valid; or there is none yet.
    before: Option<Value>,
    /// What is written, beside what is valid; `null` takes away.
    written: Value,
    /// What the refusal says; nothing when it is taken.
    refusals: Vec<&'static str>,
}

/// A new object that is taken.
fn taken(about: &'static str, written: Value) -> Case {
    Case {
        about,
        before: None,
        written,
        refusals: Vec::new(),
    }
}

/// A new object that is refused.
fn refused(about: &'static str, written: Value, refusal: &'static str) -> Case {
    Case {
        refusals: vec![refusal],
        ..taken(about, written)
    }
}

impl Case {
    /// The object is there already, and was this.
    fn was(self, before: Value) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }

    /// The refusal says this too.
    fn and(mut self, refusal: &'static str) -> Self {
        self.refusals.push(refusal);
        self
    }
}

/// Asks for all of them; `valid` is an object that each changes.
async fn ask(namespace: &Namespace, valid: &Value, cases: &[Case]) -> Result<()> {
    let kind = valid["kind"].as_str().unwrap_or_default();
    let kind = GroupVersionKind::gvk("buzonera.dev", "v1alpha1", kind);
    let plural = ApiResource::from_gvk(&kind);
    let all = Api::namespaced_with(namespace.client.clone(), &namespace.name, &plural);
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        if let Err(error) = ask_one(&all, valid, index, case).await {
            wrong.push(format!("{}: {error:#}", case.about));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

async fn ask_one(all: &Api<DynamicObject>, valid: &Value, index: usize, case: &Case) -> Result<()> {
    let written = object(valid, index, &case.written);
    if let Some(before) = &case.before {
        apply(
            all,
            &PatchParams::apply("test"),
            object(valid, index, before),
        )
        .await?;
    }
    let only_try = PatchParams::apply("test").dry_run().validation_strict();
    match apply(all, &only_try, written).await {
        Ok(_) => {
            let refusals = &case.refusals;
            ensure!(refusals.is_empty(), "taken, and not refused: {refusals:?}");
            Ok(())
        }
        Err(kube::Error::Api(status)) => says_only(&status, &case.refusals),
        Err(error) => Err(error.into()),
    }
}

async fn apply(
    all: &Api<DynamicObject>,
    how: &PatchParams,
    object: Value,
) -> Result<DynamicObject, kube::Error> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    all.patch(name, how, &Patch::Apply(&object)).await
}

/// The valid object with these changes; each case has an object of its own.
fn object(valid: &Value, index: usize, changes: &Value) -> Value {
    let mut object = valid.clone();
    if let Some(prefix) = valid["metadata"]["name"].as_str() {
        object["metadata"]["name"] = json!(format!("{prefix}{index}"));
    }
    merge(&mut object, changes);
    object
}

/// A JSON merge patch.
fn merge(into: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *into = changes.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, change) in changes {
        match (change, into.as_object_mut()) {
            (Value::Null, Some(map)) => drop(map.remove(name)),
            (change, _) => merge(&mut into[name], change),
        }
    }
}

/// The refusal is for these reasons and for no other.
fn says_only(status: &kube::core::Status, refusals: &[&str]) -> Result<()> {
    let message = &status.message;
    ensure!(!refusals.is_empty(), "refused: {message}");
    for refusal in refusals {
        ensure!(
            message.contains(refusal),
            "refused, but not by {refusal:?}: {message}"
        );
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let expected = |cause: &str| refusals.iter().any(|refusal| cause.contains(refusal));
    let others: Vec<_> = causes
        .map(|cause| cause.message.as_str())
        .filter(|cause| !expected(cause) && !cause.contains("were not checked"))
        .collect();
    ensure!(others.is_empty(), "refused for more: {others:?}");
    Ok(())
}

#[tokio::test]
async fn a_mail_cluster_that_is_wrong_is_refused_with_a_sentence() {
    in_namespace("clusters", async |namespace| {
        let valid = json!({"apiVersion": "buzonera.dev/v1alpha1", "kind": "MailCluster",
            "metadata": {"name": "case"}, "spec": {"hostname": "mail.example.org", "shards": 2}});
        ask(namespace, &valid, &mail_cluster::cases()).await
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_shard_that_is_wrong_is_refused_with_a_sentence() {
    in_namespace("shards", async |namespace| {
        let valid = json!({"apiVersion": "buzonera.dev/v1alpha1", "kind": "MailboxShard",
            "metadata": {"name": "example-"}, "spec": {"clusterName": "example"}});
        ask(namespace, &valid, &mailbox_shard::cases()).await
    })
    .await;
}
