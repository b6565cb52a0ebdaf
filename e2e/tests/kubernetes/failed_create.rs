//! A pod that Kubernetes refuses is nowhere to be seen, and its StatefulSet does not say why: the
//! MailCluster does. (The operator has no more rights here than the chart gives it.)

use std::slice;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::platform::chart;

use crate::platform::{
    CLUSTER, LEAST, Operator, READY, ROLLED, apply, kubelet, ready, says, until,
};
use crate::support::{Namespace, in_namespace};
use crate::writes::{Writes, rest};

/// Kubernetes tries some more times meanwhile.
const TRIES: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_condition_says_who_refuses_a_pod() {
    in_namespace("refused", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 49, folder.path())?;
        forbid_pods(namespace)?;
        let writes = Writes::default();
        let account = install_rights(namespace)?;
        let client = writes.client_as(namespace, account).await?;
        let operator = Operator::impatient_with(client, &namespace.name);
        apply(namespace, LEAST)?;
        let refused = "exceeded quota: nothing";
        let why = ("Ready", "False", "Provisioning");
        says(namespace, CLUSTER, why, refused).await?;
        let why = ("Stalled", "True", "Rejected");
        says(namespace, CLUSTER, why, "example-etcd-0: ").await?;
        rest(slice::from_ref(&writes), TRIES, READY).await?;
        allow_pods(namespace)?;
        let made = ready(namespace, &kubelet).await?;
        let conditions = made.status.context("no status")?.conditions;
        let stalled = conditions.iter().find(|it| it.type_ == "Stalled");
        ensure!(stalled.is_none(), "{stalled:?}");
        until(namespace, "UpToDate", "True", "AllCurrent", READY).await?;

        // A pod that is to come back is refused as well.
        forbid_pods(namespace)?;
        let more = "shardDefaults: {pod: {resources: {requests: {cpu: 300m}}}, ";
        apply(namespace, &LEAST.replace("shardDefaults: {", more))?;
        let why = ("UpToDate", "False", "RolloutHalted");
        says(namespace, CLUSTER, why, refused).await?;
        says(namespace, CLUSTER, why, "example-0: ").await?;
        allow_pods(namespace)?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        ready(namespace, &kubelet).await?;
        operator.stop().await
    })
    .await;
}

/// The operator's, as the chart has them; their service account.
fn install_rights(namespace: &Namespace) -> Result<&'static str> {
    let values = format!("etcdImage=etcd,watchNamespaces={{{}}}", namespace.name);
    let words = [
        "template",
        "buzonera",
        &chart(),
        "--namespace",
        &namespace.name,
    ];
    let what = ["--show-only", "templates/rights.yaml", "--set", &values];
    let rights = namespace.access().helm(&[&words[..], &what].concat())?;
    apply(namespace, &rights.out)?;
    Ok("buzonera-operator")
}

fn forbid_pods(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["create", "quota", "nothing", "--hard=pods=0"])?;
    Ok(())
}

fn allow_pods(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["delete", "quota", "nothing"])?;
    Ok(())
}
