//! `kubectl explain` is the user's documentation, so it reads well.

use anyhow::{Result, ensure};
use e2e::wait;

use crate::support::{Namespace, PATIENCE, in_namespace};

#[tokio::test]
async fn a_field_is_explained_in_sentences() {
    in_namespace("explain", async |namespace| {
        let said = explain(namespace, "mailcluster.spec.shards").await?;
        for part in [
            "FIELD: shards <integer>",
            "How many shards the operator makes and keeps.",
            "Fewer: accounts move away from those with the highest numbers first, which then leave, \
             and their volumes stay.",
        ] {
            ensure!(said.contains(part), "{part:?} is not in: {said}");
        }
        let said = explain(namespace, "mailcluster").await?;
        ensure!(said.contains("A mail platform: mx takes mail in"), "{said}");
        let said = explain(namespace, "mbs.spec.mode").await?;
        ensure!(said.contains("ENUM: Active Cordoned Drained Stopped"), "{said}");
        Ok(())
    })
    .await;
}

/// Nothing of how we write Rust shows: no backquotes, no links, no names of types.
#[tokio::test]
async fn no_explanation_shows_how_it_was_made() {
    in_namespace("explained", async |namespace| {
        for path in [
            "mailcluster",
            "mailcluster.spec",
            "mailcluster.spec.mx.services",
            "mailcluster.spec.proxy.pod",
            "mailcluster.spec.directory.store.etcd",
            "mailcluster.status",
            "mailcluster.status.rebalance",
            "mailboxshard",
            "mailboxshard.spec",
            "mailboxshard.status",
        ] {
            let said = explain(namespace, path).await?;
            let rust = ["::", "Option<", "`]", "Auto-generated"];
            let seen = rust.iter().find(|mark| said.contains(**mark));
            ensure!(seen.is_none(), "{seen:?} in {said}");
        }
        Ok(())
    })
    .await;
}

/// Lines joined, as a reader does. What can be explained is published a moment after a kind is known.
async fn explain(namespace: &Namespace, what: &str) -> Result<String> {
    wait::until(&format!("{what} is explained"), PATIENCE, || async {
        let said = namespace.kubectl(&["explain", what])?;
        let words: Vec<&str> = said.out.split_whitespace().collect();
        Result::<_>::Ok(words.join(" "))
    })
    .await
}
