//! What the API server itself has, where what was followed might be too old to decide by.

use crds::MailCluster;
use kube::api::Api;
use kube::{Client, Error};

use crate::directory::Of;

/// The MailCluster of that name, if it is there and stays.
pub(crate) async fn cluster(
    client: &Client,
    (namespace, name): &Of,
) -> Result<Option<MailCluster>, Error> {
    let api: Api<MailCluster> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name.as_str()).await?;
    Ok(found.filter(|found| found.metadata.deletion_timestamp.is_none()))
}
