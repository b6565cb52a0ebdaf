//! Accounts move to a shard that is new, and off one that leaves, and nobody loses a message.

use crate::people::{mail, people, read, spread};
use crate::platform::{LEAST, Operator, apply, kubelet, ready};
use crate::support::in_namespace;

#[tokio::test(flavor = "multi_thread")]
async fn accounts_go_where_there_is_room_and_take_their_mail_along() {
    in_namespace("moved", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 37, folder.path())?;
        let operator = Operator::hasty(namespace);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        people(namespace, &kubelet).await?;
        let sent = mail(namespace, 2000).await?;

        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=3"])?;
        spread(namespace, "each of three has its part", |accounts| {
            accounts.len() == 3
                && accounts
                    .values()
                    .all(|accounts| (6..=10).contains(accounts))
        })
        .await?;
        read(namespace, &kubelet, &sent).await?;

        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=2"])?;
        spread(namespace, "two have them all", |accounts| {
            accounts.len() == 2 && accounts.values().sum::<i64>() >= 24
        })
        .await?;
        read(namespace, &kubelet, &sent).await?;
        operator.stop().await
    })
    .await;
}
