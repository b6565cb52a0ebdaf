//! A pod that Kubernetes refuses is nowhere to be seen, and its StatefulSet does not say why: the
//! MailCluster does. (The operator has no more rights here than the chart gives it.)

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::platform::chart;
use e2e::wait;
use tokio::time::sleep;

use crate::platform::{LEAST, Operator, READY, apply, cluster, kubelet, ready, until};
use crate::support::{Namespace, in_namespace};
use crate::writes::Writes;

/// Kubernetes tries some more times meanwhile.
const TRIES: Duration = Duration::from_secs(20);

/// For a rollout to be called halted, and for Kubernetes to try once more after that: it waits twice
/// as long each time.
const ROLLED: Duration = Duration::from_secs(300);

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
        says(namespace, "Ready", "False", "Provisioning", refused).await?;
        says(namespace, "Stalled", "True", "Rejected", "example-etcd-0: ").await?;
        sleep(TRIES).await;
        let before = writes.noted().len();
        sleep(TRIES).await;
        let noted = writes.noted().split_off(before);
        ensure!(noted.is_empty(), "{noted:?}");
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
        says(namespace, "UpToDate", "False", "RolloutHalted", refused).await?;
        says(
            namespace,
            "UpToDate",
            "False",
            "RolloutHalted",
            "example-0: ",
        )
        .await?;
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

/// Waits until a condition is so, and its message has these words.
async fn says(
    namespace: &Namespace,
    about: &str,
    status: &str,
    reason: &str,
    words: &str,
) -> Result<()> {
    let what = format!("{about} is {status}, {reason}, and says {words:?}");
    wait::until(&what, ROLLED, || async {
        let told = cluster(namespace).await?.status.unwrap_or_default();
        let mut found = told.conditions.iter().filter(|it| it.type_ == about);
        let is_so = found
            .any(|it| it.status == status && it.reason == reason && it.message.contains(words));
        ensure!(is_so, "{:?}", told.conditions);
        Result::<()>::Ok(())
    })
    .await
}
