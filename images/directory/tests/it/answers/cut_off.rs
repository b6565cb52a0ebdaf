//! A replica that is cut off from its store for longer than it may be.

use std::time::Duration;

use kit::rpc::word_of;
use wire::answer::{Answer, NotMe, Word};
use wire::rpc::SetPasswordRequest;
use wire::rpc::authenticate_reply::Result as Login;

use super::{ANA, PASSWORD, Pair, login, not_me, resolve};
use crate::world::{id, until};

/// Instead of a minute.
const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_old_password_is_granted_nowhere() {
    let pair = Pair::start(LIMIT, |_| {}).await;
    until(
        "the second has granted the login, and remembers that",
        || async {
            let granted = pair.login_at_second(PASSWORD).await;
            matches!(granted, Ok(Login::Granted(_))).then_some(())
        },
    )
    .await;
    pair.lagging.cut_off();
    let change = SetPasswordRequest {
        request_id: id(),
        address: ANA.to_owned(),
        password: b"another".to_vec().into(),
    };
    pair.first.admin().set_password(change).await.unwrap();
    until("the second says that it is out of touch", || async {
        let status = pair.login_at_second(PASSWORD).await.err()?;
        let word = word_of(&status);
        (word == Some(Word::NotMe(NotMe::OutOfTouch))).then_some(())
    })
    .await;
    let status = pair.login_at_second(PASSWORD).await.unwrap_err();
    assert_eq!(not_me(&status), NotMe::OutOfTouch);
    for _ in 0..20 {
        let old = pair.client.authenticate(login(ANA, PASSWORD)).await;
        let old = old.unwrap().result;
        assert!(matches!(old, Some(Login::Denied(_))), "{old:?}");
        let new = pair.client.authenticate(login(ANA, "another")).await;
        let new = new.unwrap().result;
        assert!(matches!(new, Some(Login::Granted(_))), "{new:?}");
        let answer = resolve(&pair.client, ANA).await;
        assert!(matches!(answer, Answer::Yes(_)), "{answer:?}");
    }
    pair.lagging.release();
    until("the second is back, and knows of the change", || async {
        let granted = pair.login_at_second("another").await;
        matches!(granted, Ok(Login::Granted(_))).then_some(())
    })
    .await;
    let old = pair.login_at_second(PASSWORD).await;
    assert!(matches!(old, Ok(Login::Denied(_))), "{old:?}");
}
