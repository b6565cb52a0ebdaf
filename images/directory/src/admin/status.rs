//! The cluster at a glance.

use tonic::Status;
use wire::rpc::StatusReply;

use super::Admin;
use super::shards::infos;

impl Admin {
    pub(super) async fn status(&self) -> Result<StatusReply, Status> {
        self.current().await?;
        let map = self.shared.read();
        let domains = map.domains_from("");
        let accounts = domains.map(|domain| domain.accounts).sum();
        Ok(StatusReply {
            cluster_id: map.cluster().map_or_else(String::new, |id| id.to_string()),
            store: self.store.kind().to_owned(),
            revision: self.shared.revision().0,
            domains: map.domain_count() as u64,
            accounts,
            aliases: map.alias_count(),
            open_moves: map.open_moves().count() as u64,
            shards: infos(&map).collect(),
            mover: map
                .mover()
                .map_or_else(String::new, |mover| mover.instance.clone()),
            store_fault: self
                .writes
                .fault()
                .map_or_else(String::new, |fault| fault.to_string()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}
