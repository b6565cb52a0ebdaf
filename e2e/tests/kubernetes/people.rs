//! People with accounts, who are sent mail and read it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::Kubelet;
use e2e::{binaries, message, pop3, smtp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::platform::shards;
use crate::support::Namespace;

/// For every move, on a busy machine.
const MOVED: Duration = Duration::from_secs(180);

/// How many people there are.
pub(crate) const ACCOUNTS: u64 = 24;

/// The pod of the first mx.
pub(crate) const FIRST: &str = "example-mx-0-0";

const PASSWORD: &str = "a long enough password";

/// Their mail, by person.
pub(crate) type Mail = BTreeMap<u64, String>;

pub(crate) fn address(person: u64) -> String {
    format!("person{person}@example.org")
}

/// The command line as it is in a directory's pod: what it prints as JSON.
pub(crate) async fn buzonera(
    namespace: &Namespace,
    kubelet: &Kubelet,
    arguments: &[&str],
    input: &str,
) -> Result<Value> {
    let replica = "example-directory-0";
    let server = SocketAddr::new(pod(namespace, replica).await?, 7400);
    let mut buzonera = Command::new(binaries::path("buzonera")?);
    buzonera.args(["--server", &server.to_string(), "--instance", replica]);
    buzonera
        .arg("--identity")
        .arg(kubelet.folder_of(replica, "admin"));
    buzonera.args(["--output", "json"]).args(arguments);
    buzonera
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = buzonera.spawn()?;
    let mut lines = running.stdin.take().context("no input")?;
    std::io::Write::write_all(&mut lines, input.as_bytes())?;
    drop(lines);
    let ended = running.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{arguments:?}: {said}");
    Ok(serde_json::from_slice(&ended.stdout)?)
}

/// Makes their accounts.
pub(crate) async fn people(namespace: &Namespace, kubelet: &Kubelet) -> Result<()> {
    for person in 0..ACCOUNTS {
        let words = ["account", "add", &address(person), "--password-stdin"];
        buzonera(namespace, kubelet, &words, &format!("{PASSWORD}\n")).await?;
    }
    Ok(())
}

/// The moves that the directory remembers.
pub(crate) async fn moves(namespace: &Namespace, kubelet: &Kubelet) -> Result<Vec<Value>> {
    let found = buzonera(namespace, kubelet, &["moves"], "").await?;
    found.as_array().cloned().context("no list")
}

/// One message of so many octets for each of them.
pub(crate) async fn mail(namespace: &Namespace, octets: usize) -> Result<Mail> {
    mail_of(namespace, FIRST, |_| octets).await
}

/// One message for each of them, of as many octets as this says, handed to the mx in that pod.
pub(crate) async fn mail_of(
    namespace: &Namespace,
    mx: &str,
    octets: impl Fn(u64) -> usize,
) -> Result<Mail> {
    let mx = SocketAddr::new(pod(namespace, mx).await?, 2525);
    let mut client = smtp::Client::connect(mx, "EHLO sender.example").await?;
    let mut sent = BTreeMap::new();
    for person in 0..ACCOUNTS {
        let from = "ana@sender.example";
        let text = message::compose(person, from, &address(person), octets(person));
        let (_, reply) = client.send(from, &address(person), &text).await?;
        ensure!(reply.is_positive(), "{reply:?}");
        sent.insert(person, text);
    }
    client.quit().await;
    Ok(sent)
}

/// Each of them finds its message, once and whole.
pub(crate) async fn read(namespace: &Namespace, kubelet: &Kubelet, sent: &Mail) -> Result<()> {
    let proxy = SocketAddr::new(pod(namespace, "example-proxy-0").await?, 1995);
    let tls = pop3::trust(&kubelet.folder_of("example-proxy-0", "id").join("ca.pem"))?;
    for (person, text) in sent {
        let user = address(*person);
        let login = pop3::Client::login_at("mail.example.org", proxy, &tls, &user, PASSWORD);
        let mut client = login.await.with_context(|| user.clone())?;
        let all = client.read_all().await?;
        client.quit().await?;
        ensure!(all.len() == 1, "{user} has {} messages", all.len());
        ensure!(
            message::is_whole(&all[0].1, text),
            "{user}'s message is another"
        );
    }
    Ok(())
}

/// The address of a pod.
pub(crate) async fn pod(namespace: &Namespace, name: &str) -> Result<IpAddr> {
    let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let pod = pods.get(name).await?;
    let address = pod.status.and_then(|status| status.pod_ip);
    Ok(address.context("no address yet")?.parse()?)
}

/// Waits until the accounts of all shards are so, as their statuses say.
pub(crate) async fn spread(
    namespace: &Namespace,
    what: &str,
    is: impl Fn(&BTreeMap<String, i64>) -> bool,
) -> Result<()> {
    e2e::wait::until(what, MOVED, || async {
        let accounts = accounts(namespace).await?;
        ensure!(is(&accounts), "{accounts:?}");
        Ok(())
    })
    .await
}

/// Waits until the statuses say that everybody is there, with a message of so many octets.
pub(crate) async fn told(namespace: &Namespace, octets: i64) -> Result<()> {
    e2e::wait::until("all mail is told of", MOVED, || async {
        let mut accounts = 0;
        for shard in shards(namespace).await? {
            let name = shard.name_any();
            let status = shard.status.unwrap_or_default();
            let (there, bytes) = (status.accounts.unwrap_or(0), status.bytes.unwrap_or(0));
            ensure!(bytes >= there * octets, "{name}: {there}, {bytes} octets");
            accounts += there;
        }
        let all = i64::try_from(ACCOUNTS)?;
        ensure!(accounts == all, "{accounts} of {all}");
        Ok(())
    })
    .await
}

/// How many accounts each shard has, as its status says.
pub(crate) async fn accounts(namespace: &Namespace) -> Result<BTreeMap<String, i64>> {
    let found = shards(namespace).await?;
    let accounts = found.iter().map(|shard| {
        let status = shard.status.as_ref();
        let accounts = status.and_then(|status| status.accounts);
        (shard.name_any(), accounts.unwrap_or(0))
    });
    Ok(accounts.collect())
}
