//! A plan is shown, waits for the right approval, runs once whoever dies, and then nothing moves.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crds::mail_cluster::RebalanceStatus;
use e2e::kubernetes::Kubelet;
use e2e::wait;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use tokio::time::sleep;

use crate::people::{Mail, accounts, mail, moves, people, read, told};
use crate::platform::{LEAST, Operator, READY, apply, cluster, kubelet, ready, until};
use crate::support::{Namespace, in_namespace};
use crate::writes::{Writes, rest};

/// Longer than numbers in a status wait before they are written.
const QUIET: Duration = Duration::from_secs(35);

/// Longer than the operator's pause between two rounds.
const ROUND: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_seen_approved_and_carried_out_once() {
    in_namespace("dry-run", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 39, folder.path())?;
        let writes = Writes::default();
        let client = writes.client(namespace).await?;
        let operator = Operator::hasty_with(client, &namespace.name);
        let sent = uneven(namespace, &kubelet).await?;

        plan(namespace).await?;
        rest(slice::from_ref(&writes), QUIET, READY).await?;
        let shown = plan(namespace).await?;
        let plan = shown.plan.clone().context("no plan")?;
        ensure!(shown.moves.is_some_and(|moves| moves > 4), "{shown:?}");
        ensure!(shown.flows.len() == 2, "{shown:?}");
        let before = accounts(namespace).await?;
        ensure!(moves(namespace, &kubelet).await?.is_empty(), "it moves");

        refused(namespace, &plan).await?;
        ensure!(accounts(namespace).await? == before, "it moves");
        ensure!(moves(namespace, &kubelet).await?.is_empty(), "it moves");

        // It dies once it has noted the approval, and nothing has begun.
        writes.cut_behind_next();
        approve(namespace, &plan)?;
        writes.was_cut().await;
        operator.kill();
        let noted = rebalance(namespace).await?;
        ensure!(noted.approved.as_deref() == Some(&plan), "{noted:?}");
        ensure!(moves(namespace, &kubelet).await?.is_empty(), "it moves");

        // The next one dies in the middle.
        let operator = Operator::hasty(namespace);
        wait::until("moves that were asked for", READY, || async {
            let found = moves(namespace, &kubelet).await?;
            ensure!(!found.is_empty(), "{:?}", rebalance(namespace).await?);
            ensure!(events(namespace, "RebalanceStarted").await?.len() == 1);
            Ok(())
        })
        .await?;
        operator.kill();

        let operator = Operator::hasty(namespace);
        until(namespace, "Approved", "True", "Done", READY).await?;
        ran_once(namespace, &kubelet, &shown).await?;
        read(namespace, &kubelet, &sent).await?;
        sleep(ROUND).await;
        ran_once(namespace, &kubelet, &shown).await?;
        told_once(namespace, &shown).await?;
        operator.stop().await
    })
    .await;
}

/// Two shards with mail, and a third one that has none.
async fn uneven(namespace: &Namespace, kubelet: &Kubelet) -> Result<Mail> {
    let spec = format!("{LEAST}  rebalance: {{mode: DryRun, perShard: {{moves: 1}}}}\n");
    apply(namespace, &spec)?;
    ready(namespace, kubelet).await?;
    people(namespace, kubelet).await?;
    let sent = mail(namespace, 2000).await?;
    told(namespace, 2000).await?;
    namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=3"])?;
    Ok(sent)
}

/// Waits until a plan stands that is for all three shards.
async fn plan(namespace: &Namespace) -> Result<RebalanceStatus> {
    until(namespace, "Rebalancing", "False", "DryRun", READY).await?;
    wait::until("a plan", READY, || async {
        let found = rebalance(namespace).await?;
        let is_shown = found.plan.is_some() && found.flows.iter().all(|it| it.to == "example-2");
        ensure!(is_shown, "{found:?}");
        Ok(found)
    })
    .await
}

async fn rebalance(namespace: &Namespace) -> Result<RebalanceStatus> {
    let status = cluster(namespace).await?.status.unwrap_or_default();
    Ok(status.rebalance.unwrap_or_default())
}

fn approve(namespace: &Namespace, plan: &str) -> Result<()> {
    let approval = format!("buzonera.dev/approve={plan}");
    let words = ["annotate", "--overwrite", "mailcluster", "example"];
    namespace.kubectl(&[&words[..], &[&approval]].concat())?;
    Ok(())
}

/// An approval of another plan is answered by a sentence that says what to write.
async fn refused(namespace: &Namespace, plan: &str) -> Result<()> {
    approve(namespace, "another")?;
    let found = until(namespace, "Approved", "False", "UnknownPlan", READY).await?;
    let conditions = found.status.unwrap_or_default().conditions;
    let said = conditions.iter().find(|it| it.type_ == "Approved");
    let text = said.map(|said| said.message.clone()).unwrap_or_default();
    let command =
        format!("kubectl annotate --overwrite mailcluster example buzonera.dev/approve={plan}");
    ensure!(
        text.contains(&command) && text.contains("another"),
        "{text}"
    );
    Ok(())
}

/// As many accounts have moved as the plan says, flow by flow, and no other.
async fn ran_once(namespace: &Namespace, kubelet: &Kubelet, shown: &RebalanceStatus) -> Result<()> {
    let mut found: BTreeMap<(String, String), i64> = BTreeMap::new();
    let text = |told: &Value, field: &str| told[field].as_str().unwrap_or_default().to_owned();
    for told in moves(namespace, kubelet).await? {
        let is_of_it = told["plan"].as_str() == shown.plan.as_deref();
        ensure!(told["phase"] == "done" && is_of_it, "{told}");
        *found
            .entry((text(&told, "source"), text(&told, "target")))
            .or_insert(0) += 1;
    }
    let flows = shown.flows.iter();
    let wanted = flows.map(|flow| ((flow.from.clone(), flow.to.clone()), flow.accounts));
    let wanted: BTreeMap<_, _> = wanted.collect();
    ensure!(found == wanted, "{found:?} instead of {wanted:?}");
    let status = rebalance(namespace).await?;
    ensure!(
        status.plan.is_none() && status.undone.is_none(),
        "{status:?}"
    );
    ensure!(status.approved == shown.plan, "{status:?}");
    Ok(())
}

/// A beginning and an end were told, once each, though two operators died in between.
async fn told_once(namespace: &Namespace, shown: &RebalanceStatus) -> Result<()> {
    let counted = format!("{} accounts with ", shown.moves.unwrap_or(0));
    for (reason, text) in [
        ("RebalanceStarted", "are to move"),
        ("RebalanceDone", "have moved since"),
    ] {
        let notes = events(namespace, reason).await?;
        let [note] = notes.as_slice() else {
            bail!("{reason}: {notes:?}");
        };
        ensure!(note.starts_with(&counted) && note.contains(text), "{note}");
    }
    let status = rebalance(namespace).await?;
    ensure!(status.started_at.is_none(), "{status:?}");
    Ok(())
}

/// The notes of the MailCluster's Events of this kind, each as often as it was told.
async fn events(namespace: &Namespace, reason: &str) -> Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let all = api.list(&ListParams::default()).await?;
    let mut notes = Vec::new();
    for event in all.items {
        if event.reason.as_deref() == Some(reason) {
            let times = event.series.map_or(1, |series| series.count);
            let note = event.note.unwrap_or_default();
            notes.extend((0..times).map(|_| note.clone()));
        }
    }
    Ok(notes)
}
