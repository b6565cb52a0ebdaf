//! Every write of an administrator that is sent again is the same write, with the same answer.

use std::fmt::Debug;

use tonic::{Response, Status};
use wire::rpc::{
    AbortMoveRequest, AddAccountRequest, AddAliasRequest, AddDomainRequest, AddShardRequest,
    RemoveAccountRequest, RemoveAliasRequest, RemoveDomainRequest, RestoreAccountRequest,
    SetPasswordRequest, SetQuotaRequest, SetShardStateRequest, ShardState, StartMoveRequest,
};

use crate::world::{World, id};

/// Sends a request twice; done twice, most would be refused the second time.
async fn twice<R: Clone, T: PartialEq + Debug>(
    request: R,
    send: impl AsyncFn(R) -> Result<Response<T>, Status>,
) {
    let first = send(request.clone()).await.unwrap().into_inner();
    let second = send(request).await.unwrap().into_inner();
    assert_eq!(first, second);
}

fn filled<R: Default>(fill: impl FnOnce(&mut R)) -> R {
    let mut request = R::default();
    fill(&mut request);
    request
}

macro_rules! twice {
    ($world:ident.$method:ident($request:ident { $($field:ident: $value:expr),* })) => {
        twice(
            filled(|request: &mut $request| {
                request.request_id = id();
                $(request.$field = $value.into();)*
            }),
            async |request| $world.admin().$method(request).await,
        )
        .await
    };
}

#[tokio::test]
async fn all_writes() {
    let world = World::start().await;
    let _first = world.shard("shard-1").await;
    twice!(world.add_shard(AddShardRequest { name: "shard-9" }));
    twice!(world.add_domain(AddDomainRequest {
        name: "example.org"
    }));
    let ana = "ana@example.org";
    twice!(world.add_account(AddAccountRequest {
        address: ana,
        shard: "shard-1"
    }));
    twice!(world.set_password(SetPasswordRequest {
        address: ana,
        password: b"secret".to_vec()
    }));
    twice!(world.set_quota(SetQuotaRequest { address: ana }));
    let alias = "a@example.org";
    twice!(world.add_alias(AddAliasRequest {
        address: alias,
        targets: [ana.to_owned()]
    }));
    twice!(world.remove_alias(RemoveAliasRequest { address: alias }));
    twice!(world.start_move(StartMoveRequest {
        address: ana,
        target: "shard-9"
    }));
    twice!(world.abort_move(AbortMoveRequest { address: ana }));
    twice!(world.remove_account(RemoveAccountRequest { address: ana }));
    twice!(world.restore_account(RestoreAccountRequest { address: ana }));
    twice!(world.set_shard_state(SetShardStateRequest {
        name: "shard-9",
        state: ShardState::Cordoned
    }));
    twice!(world.add_domain(AddDomainRequest {
        name: "empty.example"
    }));
    twice!(world.remove_domain(RemoveDomainRequest {
        name: "empty.example"
    }));
}

#[tokio::test]
async fn a_password_that_was_set_stays_set_though_the_account_is_gone() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "").await;
    let request = SetPasswordRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        password: b"secret".to_vec().into(),
    };
    let mut admin = world.admin();
    let first = admin.set_password(request.clone()).await.unwrap();
    let removal = RemoveAccountRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        purge: false,
    };
    admin.remove_account(removal).await.unwrap();
    let second = admin.set_password(request).await.unwrap();
    assert_eq!(first.into_inner(), second.into_inner());
}
