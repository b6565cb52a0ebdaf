//! While etcd is away, mail for whoever is known is taken and delivered, and nobody is refused for
//! good.

use anyhow::{Result, ensure};

use super::mail::{ANA, Mail, SMALL};
use super::support::on_platform;
use super::without::{nobody_is_denied, without};

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn mail_is_taken_and_nobody_is_refused_for_good() {
    on_platform("etcd-away", async |access| {
        let mut mail = Mail::made(access, "etcd-away", SMALL).await?;
        mail.goes_on()?;
        without(
            &mut mail,
            "example-etcd-0",
            "EtcdUnavailable",
            async |mail| {
                let reply = mail.offer(ANA).await?;
                ensure!(reply.is_positive(), "{reply:?}");
                nobody_is_denied(mail).await
            },
        )
        .await?;
        Result::<()>::Ok(())
    })
    .await;
}
