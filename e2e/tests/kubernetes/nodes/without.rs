//! A MailCluster of which one part is away for a while.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::kubernetes::Platform;
use e2e::kubernetes::platform::Condition;
use e2e::{say, wait};

use super::mail::{ANA, Mail};

/// For pods to go, for their absence to be known, and for all of it to be well again.
const KNOWN: Duration = Duration::from_secs(120);

/// Does what is to be tested while a StatefulSet has no pod and Ready says so with this reason; the
/// operator, paused, leaves it so. Then all is well again, with all the mail that was taken, and
/// nothing was removed or made anew.
pub(super) async fn without(
    mail: &mut Mail,
    set: &str,
    reason: &str,
    work: impl AsyncFnOnce(&mut Mail) -> Result<()>,
) -> Result<()> {
    let platform = mail.platform.clone();
    let before = objects(&platform)?;
    annotate(&platform, "buzonera.dev/pause=true")?;
    let set = format!("statefulset/{set}");
    platform.kubectl(&["scale", &set, "--replicas=0"])?;
    wait::until("it is away, and that is known", KNOWN, || async {
        let ready = Condition::of(&platform.look()?, "Ready")?;
        ensure!(ready.is("False") && ready.reason() == reason, "{ready}");
        Ok(())
    })
    .await?;
    work(mail).await?;
    annotate(&platform, "buzonera.dev/pause-")?;
    platform.ready(|_| ()).await?;
    wait::until("all is delivered, and read", KNOWN, || async {
        mail.is_read()
    })
    .await?;
    mail.goes_on()?;
    let after = objects(&platform)?;
    ensure!(before == after, "other objects: {before}, then {after}");
    Ok(())
}

/// Nobody is told that an address or a password is wrong: nobody knows.
pub(super) async fn nobody_is_denied(mail: &mut Mail) -> Result<()> {
    for address in [ANA, "stranger@example.org"] {
        let reply = mail.offer(address).await?;
        say::line(&format!("{address}: {} {}", reply.code, reply.text));
        let is_taken = address == ANA && reply.is_positive();
        ensure!(is_taken || reply.code / 100 == 4, "{address}: {reply:?}");
    }
    if let Err(refused) = mail.login().await {
        say::line(&format!("{refused:#}"));
        let said = format!("{refused:#}");
        ensure!(said.contains("[SYS/TEMP]"), "{said}");
    }
    Ok(())
}

fn annotate(platform: &Platform, annotation: &str) -> Result<()> {
    platform.kubectl(&["annotate", "mailcluster", "example", annotation])?;
    Ok(())
}

/// What holds mail, keys or the map, with uids.
fn objects(platform: &Platform) -> Result<String> {
    let kinds = "mailboxshards,statefulsets,persistentvolumeclaims,secrets,services";
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.uid} {end}";
    platform.kubectl(&["get", kinds, "--output", path])
}
