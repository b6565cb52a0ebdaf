//! A sick cluster explains itself: what `kubectl describe` says is wrong is what is wrong, and it says
//! what to type. Every row of the README's table that no other test has is here.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::Kubelet;
use e2e::kubernetes::platform::Condition;
use e2e::wait;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::people::buzonera;
use crate::platform::{CLUSTER, LEAST, Operator, READY, apply, kubelet, ready, says};
use crate::support::{Namespace, in_namespace};

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_is_told_with_what_to_do() {
    in_namespace("sick", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 61, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        certificates(namespace, folder.path()).await?;
        stopped(namespace).await?;
        lost_volume(namespace).await?;
        crowded(namespace, &kubelet).await?;
        names(namespace).await?;
        ready(namespace, &kubelet).await?;
        operator.stop().await
    })
    .await;
}

/// What clients are shown: nobody's, one that is away, one that is none, one that ends soon.
async fn certificates(namespace: &Namespace, folder: &Path) -> Result<()> {
    let no = |reason| ("PublicCertificate", "False", reason);
    let words = "name a Secret of type kubernetes.io/tls";
    says(namespace, CLUSTER, no("SelfSigned"), words).await?;
    let named = "  tls: {certificates: [{secretName: mail-example-org}]}\n";
    apply(namespace, &(LEAST.to_owned() + named))?;
    let words = "the Secret mail-example-org is not there";
    says(namespace, CLUSTER, no("SecretMissing"), words).await?;

    let key = KeyPair::generate()?;
    for (days, (about, status, reason), words) in [
        (-1, no("SecretInvalid"), "tls.crt has expired"),
        (9, no("ExpiresSoon"), "ends in 8 days"),
        (90, ("PublicCertificate", "True", "Provided"), ""),
    ] {
        bring(namespace, folder, &key, days)?;
        says(namespace, CLUSTER, (about, status, reason), words).await?;
    }
    apply(namespace, LEAST)
}

/// A Secret with a certificate that ends in so many days.
fn bring(namespace: &Namespace, folder: &Path, key: &KeyPair, days: i64) -> Result<()> {
    let mut params = CertificateParams::new(vec!["mail.example.org".to_owned()])?;
    let seconds = days * 24 * 60 * 60;
    let end = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .as_secs()
        .checked_add_signed(seconds);
    let end = Duration::from_secs(end.context("a day before 1970")?);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    let (cert, private) = (folder.join("tls.crt"), folder.join("tls.key"));
    fs::write(&cert, params.self_signed(key)?.pem())?;
    fs::write(&private, key.serialize_pem())?;
    let dry = ["--dry-run=client", "--output=yaml"];
    let pair = [
        format!("--cert={}", cert.display()),
        format!("--key={}", private.display()),
    ];
    let words = [
        "create",
        "secret",
        "tls",
        "mail-example-org",
        &pair[0],
        &pair[1],
    ];
    let text = namespace.kubectl(&[&words[..], &dry].concat())?.out;
    apply(namespace, &text)
}

/// A shard that somebody has stopped.
async fn stopped(namespace: &Namespace) -> Result<()> {
    patch(namespace, r#"{"spec": {"mode": "Stopped"}}"#)?;
    let why = ("Serving", "False", "Stopped");
    says(
        namespace,
        "mbs/example-1",
        why,
        "mail for its accounts waits",
    )
    .await?;
    let why = ("Ready", "False", "ShardsNotServing");
    says(
        namespace,
        CLUSTER,
        why,
        "1 of 2 shards do not serve: example-1",
    )
    .await?;
    patch(namespace, r#"{"spec": {"mode": "Active"}}"#)?;
    says(namespace, CLUSTER, ("Ready", "True", "Ready"), "").await
}

fn patch(namespace: &Namespace, patch: &str) -> Result<()> {
    let words = [
        "patch",
        "mbs",
        "example-1",
        "--type=merge",
        "--patch",
        patch,
    ];
    namespace.kubectl(&words).map(drop)
}

/// A volume that was made and is gone is not made anew; a claim that somebody restores is taken.
async fn lost_volume(namespace: &Namespace) -> Result<()> {
    let found = namespace
        .kubectl(&["get", "pvc", "example-1", "--output=json"])?
        .out;
    let mut claim: Value = serde_json::from_str(&found)?;
    namespace.kubectl(&["delete", "pvc", "example-1", "--wait=true"])?;
    let why = ("Stalled", "True", "VolumeMissing");
    let words = "the volume example-1 is gone: restore a claim of that name from your backup";
    says(namespace, CLUSTER, why, words).await?;
    let label = ["get", "pvc", "--output=name"];
    let left = namespace.kubectl(&label)?.out;
    ensure!(!left.contains("example-1"), "{left}");
    for field in ["uid", "resourceVersion", "creationTimestamp", "finalizers"] {
        if let Some(metadata) = claim["metadata"].as_object_mut() {
            metadata.remove(field);
        }
    }
    claim["status"] = Value::Null;
    apply(namespace, &claim.to_string())?;
    wait::until("nothing is Stalled", READY, || async {
        let said = namespace.kubectl(&["get", CLUSTER, "--output=json"])?.out;
        let stalled = Condition::of(&serde_json::from_str(&said)?, "Stalled");
        ensure!(stalled.is_err(), "{stalled:?}");
        Ok(())
    })
    .await
}

/// A shard is to leave, and what is on it can go nowhere.
async fn crowded(namespace: &Namespace, kubelet: &Kubelet) -> Result<()> {
    let add = ["account", "add", "ana@example.org", "--shard", "example-1"];
    let words = [&add[..], &["--password-stdin"]].concat();
    buzonera(namespace, kubelet, &words, "a long enough password\n").await?;
    let cordoned = r#"{"spec": {"mode": "Cordoned"}}"#;
    let words = [
        "patch",
        "mbs",
        "example-0",
        "--type=merge",
        "--patch",
        cordoned,
    ];
    namespace.kubectl(&words)?;
    patch(namespace, r#"{"spec": {"mode": "Drained"}}"#)?;
    let why = ("Drained", "False", "InsufficientCapacity");
    let words = "add one, or larger volumes";
    says(namespace, "mbs/example-1", why, words).await?;
    let active = r#"{"spec": {"mode": "Active"}}"#;
    let words = [
        "patch",
        "mbs",
        "example-0",
        "--type=merge",
        "--patch",
        active,
    ];
    namespace.kubectl(&words)?;
    let why = ("Drained", "True", "Empty");
    says(namespace, "mbs/example-1", why, "nothing is left on it").await?;
    patch(namespace, active)
}

/// A shard that was is never again.
async fn names(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["scale", CLUSTER, "--replicas=1"])?;
    wait::until("the second shard has left", READY, || async {
        let left = namespace.kubectl(&["get", "mbs", "--output=name"])?.out;
        ensure!(!left.contains("example-1"), "{left}");
        Result::<()>::Ok(())
    })
    .await?;
    let shard = "apiVersion: buzonera.dev/v1alpha1\nkind: MailboxShard\nmetadata: {name: example-1}\n\
                 spec: {clusterName: example, storage: {size: 1Gi}}\n";
    apply(namespace, shard)?;
    let why = ("Ready", "False", "NameTaken");
    let words = "write one with a new number";
    says(namespace, "mbs/example-1", why, words).await?;
    let why = ("Serving", "False", "Retired");
    says(namespace, "mbs/example-1", why, "").await?;
    namespace
        .kubectl(&["delete", "mbs", "example-1", "--wait=true"])
        .map(drop)
}
