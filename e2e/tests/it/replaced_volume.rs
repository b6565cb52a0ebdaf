//! `buzonera shard replace-volume`: a shard whose volume is older or empty is refused with a
//! sentence that names the command; after the command it serves what it has, as new, and nobody
//! else notices.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::cluster::Cluster;
use e2e::wait;
use wire::rpc::AccountState;

use crate::mail::{deliver, mailbox};
use crate::support::{ANA, PASSWORD, TestSite, copy, on_cluster};

const BO: &str = "bo@example.org";
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_volume_is_served_after_an_administrators_word() {
    on_cluster(2, async |cluster: &mut Cluster| {
        let admin = cluster.admin(0)?;
        admin.add_domain("example.org").await?;
        admin.add_account(ANA, PASSWORD, "shard-1").await?;
        admin.add_account(BO, PASSWORD, "shard-2").await?;
        older(cluster).await?;
        emptied(cluster).await
    })
    .await;
}

/// What comes from a backup: mail since then is lost, mail from before is there as new.
async fn older(cluster: &mut Cluster) -> Result<()> {
    deliver(cluster, 1, ANA).await?;
    deliver(cluster, 2, BO).await?;
    let backup = volume(cluster)?.with_file_name("backup");
    stopped(cluster).await?;
    copy(&volume(cluster)?, &backup)?;
    restarted(cluster).await?;
    deliver(cluster, 3, ANA).await?;
    let before = seen(cluster).await?;
    ensure!(numbers(&before.ana) == [1, 3], "{before:?}");

    stopped(cluster).await?;
    fs::remove_dir_all(volume(cluster)?)?;
    copy(&backup, &volume(cluster)?)?;
    refused(cluster, "a copy, or comes from a backup").await?;
    replaced(cluster).await?;
    let after = as_new(cluster, &before).await?;
    ensure!(numbers(&after.ana) == [1], "{after:?}");
    still_right(cluster, 4, &after).await
}

/// A disk that was lost: the account is there again, empty, and takes mail.
async fn emptied(cluster: &mut Cluster) -> Result<()> {
    let before = seen(cluster).await?;
    stopped(cluster).await?;
    fs::remove_dir_all(volume(cluster)?)?;
    refused(cluster, "the volume is empty").await?;
    replaced(cluster).await?;
    let after = as_new(cluster, &before).await?;
    ensure!(after.ana.is_empty(), "{after:?}");
    still_right(cluster, 5, &after).await
}

/// Both mailboxes, and the epochs of their accounts.
#[derive(Debug)]
struct Seen {
    ana: Vec<(String, u64)>,
    bo: Vec<(String, u64)>,
    epochs: [u64; 2],
}

async fn seen(cluster: &Cluster) -> Result<Seen> {
    let admin = cluster.admin(0)?;
    let mut epochs = [0; 2];
    for (epoch, address) in epochs.iter_mut().zip([ANA, BO]) {
        let account = admin.account(address).await?;
        ensure!(account.state() == AccountState::Active, "{account:?}");
        *epoch = account.route.context("it has no shard")?.epoch;
    }
    Ok(Seen {
        ana: mailbox(cluster, ANA).await?,
        bo: mailbox(cluster, BO).await?,
        epochs,
    })
}

fn numbers(mailbox: &[(String, u64)]) -> Vec<u64> {
    mailbox.iter().map(|(_, number)| *number).collect()
}

fn volume(cluster: &mut Cluster) -> Result<PathBuf> {
    Ok(cluster.member("shard-1")?.folder().join("data"))
}

async fn stopped(cluster: &mut Cluster) -> Result<()> {
    let status = cluster.member("shard-1")?.stop(PATIENCE).await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

async fn restarted(cluster: &mut Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    let before = admin.shards().await?.remove(0).incarnation;
    cluster.member("shard-1")?.start()?;
    cluster.serves("shard-1", before, PATIENCE).await?;
    Ok(())
}

/// It ends, says why, and names what lets it go on; the next start ends as well.
async fn refused(cluster: &mut Cluster, why: &str) -> Result<()> {
    for name in ["refused", "refused-again"] {
        let mut process = cluster.member("shard-1")?.second(name, &[])?;
        let status = process.ended(PATIENCE).await?;
        let said = process.log_tail(4_000);
        ensure!(status.code() == Some(1), "{status}: {said}");
        ensure!(said.contains(why), "{said}");
        let command = "`buzonera shard replace-volume shard-1`";
        ensure!(said.contains(command), "{said}");
    }
    Ok(())
}

async fn replaced(cluster: &mut Cluster) -> Result<()> {
    let words = ["shard", "replace-volume", "shard-1", "--yes"];
    let output = cluster.buzonera(&words, "")?;
    ensure!(output.status.success(), "{output:?}");
    restarted(cluster).await
}

/// No unique id of Ana's is one from before, also of what is there again; Bo's are as they were.
async fn as_new(cluster: &Cluster, before: &Seen) -> Result<Seen> {
    let now = wait::until("the account has begun anew", PATIENCE, || seen(cluster)).await?;
    let [ana, bo] = now.epochs;
    ensure!(ana > before.epochs[0], "{now:?} {before:?}");
    ensure!(
        (bo, &now.bo) == (before.epochs[1], &before.bo),
        "{now:?} {before:?}"
    );
    let known = |(id, _): &&(String, u64)| before.ana.iter().any(|(old, _)| old == id);
    match now.ana.iter().find(known) {
        Some(same) => bail!("{same:?} was there before, under that id"),
        None => Ok(now),
    }
}

/// Mail goes in, and the next start needs no word.
async fn still_right(cluster: &mut Cluster, mark: u64, before: &Seen) -> Result<()> {
    deliver(cluster, mark, ANA).await?;
    stopped(cluster).await?;
    restarted(cluster).await?;
    let now = wait::until("new mail is there", PATIENCE, || async {
        let now = seen(cluster).await?;
        ensure!(now.ana.len() > before.ana.len(), "{now:?}");
        Ok(now)
    })
    .await?;
    ensure!(now.ana.starts_with(&before.ana), "{now:?} {before:?}");
    ensure!(
        now.ana.last().map(|(_, number)| *number) == Some(mark),
        "{now:?}"
    );
    ensure!(
        (&now.bo, now.epochs) == (&before.bo, before.epochs),
        "{now:?} {before:?}"
    );
    Ok(())
}

/// One process has no other that would take the command: the way on is a flag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_site_goes_on_by_its_flag() {
    local().await.unwrap();
}

async fn local() -> Result<()> {
    let mut site = TestSite::empty().await?;
    site.announce("replace-volume");
    site.add_domain("example.org")?;
    for (address, shard) in [(ANA, "shard-1"), (BO, "shard-2")] {
        let words = [
            "account",
            "add",
            address,
            "--shard",
            shard,
            "--password-stdin",
        ];
        site.ask(&words, PASSWORD)?;
    }
    site.deliver([1], ANA).await?;
    site.deliver([2], BO).await?;
    let before = site.mailbox(BO).await?;
    site.stop().await?;
    fs::remove_dir_all(site.folder().join("buzonera-data/shards/shard-1"))?;
    let Err(refused) = site.start_again().await else {
        bail!("it serves an empty volume");
    };
    let said = refused.to_string();
    for part in [
        "the volume is empty",
        "`buzonera local --replace-volume shard-1`",
    ] {
        ensure!(said.contains(part), "{said}");
    }

    site.set_flags(&["--replace-volume", "shard-1"]);
    site.start_again().await?;
    ensure!(site.mailbox(ANA).await?.is_empty());
    ensure!(site.mailbox(BO).await? == before);
    site.deliver([3], ANA).await?;
    let ana = site.mailbox(ANA).await?;
    site.stop().await?;
    site.set_flags(&[]);
    site.start_again().await?;
    ensure!(site.mailbox(ANA).await? == ana && ana.len() == 1, "{ana:?}");
    Ok(())
}
