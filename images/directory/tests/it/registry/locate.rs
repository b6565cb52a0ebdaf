//! Where an account is: said by a replica that can prove it, and by no other.

use std::sync::Arc;

use buzonera_directory::model::Key;
use buzonera_directory::store::SharedStore;
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use kit::services::registry_server::Registry as _;
use tempfile::TempDir;
use tonic::{Code, Status};
use wire::answer::{NotMe, Word};
use wire::ids::AccountId;
use wire::rpc::{AccountEntry, AccountState, LocateRequest};

use super::{World, account, from};
use crate::store_suite::{PATIENCE, share};

async fn locate(
    world: &World,
    incarnation: u64,
    account: AccountId,
) -> Result<Option<AccountEntry>, Status> {
    let request = LocateRequest {
        incarnation,
        account: account.to_field(),
    };
    let reply = world.registry.locate(from("shard-1", request)).await?;
    Ok(reply.into_inner().entry)
}

#[tokio::test]
async fn a_shard_is_told_where_an_account_is_now() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    let lagging = Arc::new(Lagging::new(share(store.unwrap())));
    let store: SharedStore = lagging.clone();
    let world = World::with_times(PATIENCE, PATIENCE, store, Some(folder)).await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    for (shard, epoch) in [("shard-1", 1), ("shard-2", 2)] {
        let record = account(shard, AccountState::Active, epoch);
        world.put(&Key::Account(id), &record).await;
        let entry = locate(&world, incarnation, id).await.unwrap().unwrap();
        let route = entry.route.unwrap();
        assert_eq!((&route.shard[..], route.epoch), (shard, epoch));
    }
    let nothing = locate(&world, incarnation, AccountId::random()).await;
    assert_eq!(nothing.unwrap(), None);
    let later = locate(&world, incarnation - 1, id).await.unwrap_err();
    assert_eq!(later.code(), Code::FailedPrecondition);
    lagging.cut_off();
    let refused = locate(&world, incarnation, id).await.unwrap_err();
    let not_me = Some(Word::NotMe(NotMe::OutOfTouch));
    assert_eq!(kit::rpc::word_of(&refused), not_me, "{refused}");
}
