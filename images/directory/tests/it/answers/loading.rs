//! A replica that has not loaded its map yet.

use buzonera_directory::model::Key;
use buzonera_directory::store::lagging::Lagging;
use tonic::Status;
use wire::answer::{Answer, NotMe};
use wire::rpc::authenticate_reply::Result as Login;
use wire::rpc::{AddAccountRequest, ListRequest};

use super::{A_MINUTE, ANA, PASSWORD, Pair, login, not_me, resolve};
use crate::store_suite::value;
use crate::world::{id, until};

#[tokio::test]
async fn callers_go_to_the_other_replica() {
    let pair = Pair::start(A_MINUTE, Lagging::hold).await;
    for _ in 0..50 {
        let answer = resolve(&pair.client, ANA).await;
        assert!(matches!(answer, Answer::Yes(_)), "{answer:?}");
        let reply = pair.client.authenticate(login(ANA, PASSWORD)).await;
        let result = reply.unwrap().result;
        assert!(matches!(result, Some(Login::Granted(_))), "{result:?}");
    }
    let status = pair.login_at_second(PASSWORD).await.unwrap_err();
    assert_eq!(not_me(&status), NotMe::Loading);
}

#[tokio::test]
async fn administrators_are_not_told_what_an_empty_map_says() {
    let pair = Pair::start(A_MINUTE, Lagging::hold).await;
    let request = AddAccountRequest {
        request_id: id(),
        address: "bo@example.org".to_owned(),
        ..AddAccountRequest::default()
    };
    let mut admin = pair.second.admin();
    let added = admin.add_account(request).await.unwrap_err();
    let listed = admin.list_shards(ListRequest::default()).await.unwrap_err();
    for status in [added, listed] {
        assert_eq!(not_me(&status), NotMe::Loading);
    }
}

#[tokio::test]
async fn when_no_other_is_left_nobody_is_told_no() {
    let pair = Pair::start(A_MINUTE, Lagging::hold).await;
    let Pair {
        first,
        second: _second,
        store,
        lagging,
        client,
    } = pair;
    let _folder = first.stop().await;
    for _ in 0..10 {
        for address in [ANA, "nobody@example.org", "ana@elsewhere.example"] {
            assert_eq!(resolve(&client, address).await, Answer::NotMe, "{address}");
        }
        for password in [PASSWORD, "a wrong one"] {
            let refused: Status = client.authenticate(login(ANA, password)).await.unwrap_err();
            assert_eq!(not_me(&refused), NotMe::Loading);
        }
    }
    // What it would drive it does not know, so it is not elected either.
    assert_eq!(value(&store, &Key::Mover.to_string()).await, None);
    lagging.release();
    until("it answers", || async {
        let answer = resolve(&client, ANA).await;
        matches!(answer, Answer::Yes(_)).then_some(())
    })
    .await;
    until("it is elected", || value(&store, "mover")).await;
}
