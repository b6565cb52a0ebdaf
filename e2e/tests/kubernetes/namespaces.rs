//! The shared Kubernetes collects what belongs to nothing any more, as a whole one does.

use anyhow::{Result, ensure};
use e2e::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use crate::support::{PATIENCE, in_namespace};

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    in_namespace("doomed", async |namespace| {
        let mut map = ConfigMap::default();
        map.metadata.name = Some("left".to_owned());
        let maps: Api<ConfigMap> = Api::namespaced(namespace.client.clone(), &namespace.name);
        maps.create(&PostParams::default(), &map).await?;
        let all: Api<Namespace> = Api::all(namespace.client.clone());
        all.delete(&namespace.name, &DeleteParams::default())
            .await?;
        wait::until("the namespace is gone", PATIENCE, || async {
            let found = all.get_opt(&namespace.name).await?;
            ensure!(found.is_none(), "{found:?}");
            Result::<()>::Ok(())
        })
        .await
    })
    .await;
}
