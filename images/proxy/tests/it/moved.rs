//! An account that has moved is followed, once.

use wire::ids::Epoch;

use crate::world::World;

#[tokio::test]
async fn a_move_is_followed_with_its_epoch() {
    let world = World::new().await;
    world.shards[0].will_say("-ERR [MOVED/8] elsewhere");
    world.directory.routes(vec![world.route(1, 8)]);
    let mut client = world.logged_in().await;
    assert_eq!(world.directory.asked(), [8]);
    assert_eq!(world.shards[1].handoffs()[0].epoch, Epoch(8));
    assert_eq!(client.ask("QUIT").await, "+OK QUIT");
}

#[tokio::test]
async fn a_second_move_is_not() {
    let world = World::new().await;
    world.shards[0].will_say("-ERR [MOVED/8] elsewhere");
    world.shards[1].will_say("-ERR [MOVED/9] elsewhere");
    world.directory.routes(vec![world.route(1, 8)]);
    let mut client = world.pop3s().await;
    let later = "-ERR [SYS/TEMP] the mailbox cannot be reached now, try again later";
    assert_eq!(client.login().await, later);
    assert_eq!(world.directory.asked(), [8]);
    // The client tries again, and by then all is well.
    assert_eq!(client.login().await, "+OK 0 messages");
}

#[tokio::test]
async fn a_directory_that_is_behind_is_temporary() {
    let world = World::new().await;
    world.shards[0].will_say("-ERR [MOVED/8] elsewhere");
    let mut client = world.pop3s().await;
    let later = "-ERR [SYS/TEMP] cannot check the password now, try again later";
    assert_eq!(client.login().await, later);
}
