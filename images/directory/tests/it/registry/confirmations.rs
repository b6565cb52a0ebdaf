//! What a shard confirms becomes so.

use buzonera_directory::model::Key;
use buzonera_directory::model::records::{
    AccountRecord, AddressRecord, CredentialRecord, address_record,
};
use wire::ids::AccountId;
use wire::rpc::AccountState;
use wire::rpc::confirmation::What;

use super::{World, account};

#[tokio::test]
async fn what_is_confirmed_becomes_so() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    let key = || Key::Account(id);
    let state = async || {
        let record: Option<AccountRecord> = world.read(key()).await;
        record.map(|record| (record.state(), record.pending))
    };
    world
        .put(&key(), &account("shard-1", AccountState::Creating, 1))
        .await;
    world.confirm(incarnation, id, 2, What::Created).await;
    assert_eq!(state().await, Some((AccountState::Creating, true)));
    world.confirm(incarnation, id, 1, What::Created).await;
    assert_eq!(state().await, Some((AccountState::Active, false)));
    world
        .put(&key(), &account("shard-1", AccountState::Removed, 2))
        .await;
    world.confirm(incarnation, id, 2, What::Suspended).await;
    assert_eq!(state().await, Some((AccountState::Removed, false)));
    world
        .put(&key(), &account("shard-1", AccountState::Purging, 3))
        .await;
    world
        .put(&Key::Credential(id), &CredentialRecord::default())
        .await;
    // The address leads to another account by now.
    let newer = AddressRecord {
        created_at_ms: 0,
        leads_to: Some(address_record::LeadsTo::Account(
            AccountId::random().to_field(),
        )),
    };
    let address = || Key::Address("ana@example.org".to_owned());
    world.put(&address(), &newer).await;
    world.confirm(incarnation, id, 3, What::Dropped).await;
    assert_eq!(state().await, None);
    assert!(
        world
            .read::<CredentialRecord>(Key::Credential(id))
            .await
            .is_none()
    );
    assert!(world.read::<AddressRecord>(address()).await.is_some());
}

#[tokio::test]
async fn a_dropped_account_takes_its_own_address_along() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Purging, 1),
        )
        .await;
    let address = Key::Address("ana@example.org".to_owned());
    let own = AddressRecord {
        created_at_ms: 0,
        leads_to: Some(address_record::LeadsTo::Account(id.to_field())),
    };
    world.put(&address, &own).await;
    world.confirm(incarnation, id, 1, What::Dropped).await;
    assert!(
        world
            .read::<AccountRecord>(Key::Account(id))
            .await
            .is_none()
    );
    assert!(world.read::<AddressRecord>(address).await.is_none());
}
