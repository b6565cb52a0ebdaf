//! While no directory answers, nobody is refused for good.

use super::mail::{Mail, SMALL};
use super::support::on_platform;
use super::without::{nobody_is_denied, without};

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_for_good() {
    on_platform("directory-away", async |access| {
        let mut mail = Mail::made(access, "directory-away", SMALL).await?;
        mail.goes_on()?;
        let reason = "DirectoryUnavailable";
        without(&mut mail, "example-directory", reason, async |mail| {
            nobody_is_denied(mail).await
        })
        .await
    })
    .await;
}
