//! A message in, and a mailbox out, of a whole cluster.

use anyhow::{Result, ensure};
use e2e::cluster::Cluster;
use e2e::ledger::Answer;
use e2e::message::{compose, number};
use e2e::{pop3, smtp};

use crate::support::{FROM, PASSWORD};

/// Sends test message `mark`, a small one, and insists on a 250.
pub(crate) async fn deliver(cluster: &Cluster, mark: u64, to: &str) -> Result<()> {
    let mut client = smtp::Client::connect(cluster.smtp, "EHLO client.example.net").await?;
    let text = compose(mark, FROM, to, 1_000);
    let (answer, reply) = client.send(FROM, to, &text).await?;
    ensure!(answer == Answer::Accepted, "{} {}", reply.code, reply.text);
    client.quit().await;
    Ok(())
}

/// Unique ids and numbers of all test messages in a mailbox, in the order of their numbers.
pub(crate) async fn mailbox(cluster: &Cluster, user: &str) -> Result<Vec<(String, u64)>> {
    let tls = cluster.trust()?;
    let mut client = pop3::Client::login(cluster.pop3s, &tls, user, PASSWORD).await?;
    let all = client.read_all().await?;
    client.quit().await?;
    let numbered = all
        .into_iter()
        .filter_map(|(id, octets)| Some((id, number(&octets)?)));
    let mut found: Vec<_> = numbered.collect();
    found.sort_unstable_by_key(|(_, number)| *number);
    Ok(found)
}

/// Numbers of all test messages in a mailbox, sorted.
pub(crate) async fn numbers(cluster: &Cluster, user: &str) -> Result<Vec<u64>> {
    let found = mailbox(cluster, user).await?;
    Ok(found.into_iter().map(|(_, number)| number).collect())
}
