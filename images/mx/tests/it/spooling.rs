//! What a shard does not have when the client wants its answer.

use std::time::Duration;

use buzonera_mx::spool::{EntryId, State};

use crate::harness::{Mood, World};

const MESSAGE: &str = "Message-ID: <1@client.example>\r\n\r\nbody\r\n";

fn impatient(config: &mut buzonera_mx::Config) {
    config.timeouts.spool_after = Duration::from_millis(300);
}

#[tokio::test]
async fn what_a_shard_refuses_for_now_is_queued_and_delivered_later() {
    let world = World::new().await;
    let slow = world.account("slow@ours.example", 0);
    world.account("quick@ours.example", 1);
    world.shards[0].set_mood(slow, Mood::Retry);
    let mut client = world.client().await;
    let reply = client
        .mail(&["slow@ours.example", "quick@ours.example"], MESSAGE)
        .await;
    assert!(
        reply.starts_with("250 2.0.0 id=") && reply.ends_with("queued"),
        "{reply}"
    );
    assert_eq!(world.shards[1].kept().len(), 1);
    assert_eq!(world.spool().counts().entries, 1);
    world.shards[0].set_mood(slow, Mood::Stores);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 1)
        .await;
    let [first, second] = [&world.shards[0].kept()[0], &world.shards[1].kept()[0]];
    assert_eq!(
        (&first.body, &first.delivery),
        (&second.body, &second.delivery)
    );
    assert!(
        first
            .prefix
            .ends_with("Delivered-To: slow@ours.example\r\n")
    );
    world
        .until("empty", |world| world.spool().counts().entries == 0)
        .await;
}

#[tokio::test]
async fn a_shard_that_hangs_does_not_keep_the_client() {
    let world = World::with(impatient).await;
    let hanging = world.account("a@ours.example", 0);
    world.shards[0].set_mood(hanging, Mood::Hangs);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
}

#[tokio::test]
async fn the_spool_outlives_the_process() {
    let mut world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    client.ask("QUIT", "221").await;
    world.restart().await;
    assert_eq!(world.spool().counts().entries, 1);
    world.shards[0].set_mood(account, Mood::Stores);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 1)
        .await;
    // The sender never saw our 250 and sends again.
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("duplicate"), "{reply}");
}

#[tokio::test]
async fn spooled_mail_follows_its_account() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    client.mail(&["a@ours.example"], MESSAGE).await;
    world
        .directory
        .place(account, "a@ours.example", &world.shards[1], 2);
    world
        .until("delivered", |world| world.shards[1].kept().len() == 1)
        .await;
    world
        .until("empty", |world| world.spool().counts().entries == 0)
        .await;
    assert_eq!(world.shards[0].kept().len(), 0);
}

#[tokio::test]
async fn mail_for_a_removed_account_is_a_dead_letter() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<sender@client.example>", "250").await;
    client.ask("RCPT TO:<a@ours.example>", "250").await;
    world.directory.remove(account);
    world.shards[0].set_mood(account, Mood::Moved(2));
    client.ask("DATA", "354").await;
    client.send(format!("{MESSAGE}.\r\n")).await;
    let reply = client.expect("250 2.0.0 id=").await;
    assert!(reply.ends_with("queued"), "{reply}");
    world
        .until("dead", |world| world.spool().counts().dead == 1)
        .await;
    let entry = world.spool().list(EntryId(0), 1, |_| true).remove(0);
    assert_eq!(
        entry.targets[0].state,
        State::Dead("the account is removed".into())
    );
    assert_eq!(world.metric("spool_dead_letters", &[]), 1);
}

/// What its shard will not take, however often it is tried, is not tried for days.
#[tokio::test]
async fn mail_that_can_never_be_taken_is_a_dead_letter() {
    let world = World::new().await;
    let account = world.account("a@ours.example", 0);
    world.account("b@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Never);
    let to = ["a@ours.example", "b@ours.example"];
    let reply = world.client().await.mail(&to, MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    world
        .until("dead", |world| world.spool().counts().dead == 1)
        .await;
    let entry = world.spool().list(EntryId(0), 1, |_| true).remove(0);
    let state = &entry.targets[0].state;
    assert_eq!(*state, State::Dead("no UID is left".into()));
    assert_eq!(world.shards[0].kept().len(), 1);
}

#[tokio::test]
async fn known_recipients_are_served_without_a_directory() {
    let world = World::new().await;
    world.account("known@ours.example", 0);
    world.account("other@ours.example", 0);
    let mut client = world.client().await;
    client.mail(&["known@ours.example"], MESSAGE).await;
    world.directory.vanish(true);
    let reply = client
        .mail(&["known@ours.example"], "Subject: second\r\n\r\n")
        .await;
    assert!(reply.ends_with("queued"), "{reply}");
    client.ask("MAIL FROM:<>", "250").await;
    client
        .ask("RCPT TO:<other@ours.example>", "451 4.4.3")
        .await;
    let mut lmtp = world.lmtp_client().await;
    lmtp.ask("MAIL FROM:<>", "250").await;
    lmtp.ask("RCPT TO:<known@ours.example>", "451 4.4.3").await;
    assert_eq!(world.shards[0].kept().len(), 1);
    // Nobody says where the account is: that is no matter of this one message.
    let shard = world.shards[0].name.parse().unwrap();
    world
        .until("the queue waits", |world| world.spool().is_away(&shard))
        .await;
    world.directory.vanish(false);
    world
        .until("delivered", |world| world.shards[0].kept().len() == 2)
        .await;
}

#[tokio::test]
async fn a_full_spool_is_temporary() {
    let world = World::with(|config| config.spool.max_entries = 0).await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Retry);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.starts_with("451 4.3.1 id="), "{reply}");
}

/// What is remembered is for when nobody answers, not for when somebody is unsure; and a no ends it.
#[tokio::test]
async fn what_is_remembered_is_used_only_when_nobody_answers() {
    let world = World::new().await;
    world.account("known@ours.example", 0);
    let gone = world.account("gone@ours.example", 0);
    let mut client = world.client().await;
    for recipient in ["known@ours.example", "gone@ours.example"] {
        let reply = client.mail(&[recipient], MESSAGE).await;
        assert!(reply.ends_with("stored"), "{reply}");
    }
    world.directory.be_unsure(true);
    client.ask("MAIL FROM:<>", "250").await;
    client
        .ask("RCPT TO:<known@ours.example>", "451 4.4.3")
        .await;
    world.directory.be_unsure(false);
    world.directory.remove(gone);
    world.directory.unlead("gone@ours.example");
    client.ask("RCPT TO:<gone@ours.example>", "550 5.1.1").await;
    world.directory.vanish(true);
    client.ask("RCPT TO:<gone@ours.example>", "451 4.4.3").await;
    client.ask("RCPT TO:<known@ours.example>", "250").await;
}

/// One recipient of each kind in one transaction: a full one, a quick one, one whose shard hangs,
/// one that moves meanwhile, and an alias that leads to two of them.
#[tokio::test]
async fn outcomes_of_every_kind_in_one_transaction() {
    let world = World::with(impatient).await;
    let full = world.account("full@ours.example", 0);
    let quick = world.account("quick@ours.example", 0);
    let slow = world.account("slow@ours.example", 1);
    let moves = world.account("moves@ours.example", 1);
    world.directory.fill(full);
    world.directory.lead("all@ours.example", &[quick, slow]);
    world.shards[1].set_mood(slow, Mood::Hangs);
    let mut client = world.client().await;
    client.ask("MAIL FROM:<sender@client.example>", "250").await;
    for (recipient, answer) in [
        ("full", "452 4.2.2"),
        ("quick", "250"),
        ("slow", "250"),
        ("moves", "250"),
        ("all", "250"),
        ("nobody", "550 5.1.1"),
    ] {
        client
            .ask(&format!("RCPT TO:<{recipient}@ours.example>"), answer)
            .await;
    }
    world
        .directory
        .place(moves, "moves@ours.example", &world.shards[0], 2);
    client.ask("DATA", "354").await;
    client.send(format!("{MESSAGE}.\r\n")).await;
    let reply = client.expect("250 2.0.0 id=").await;
    assert!(reply.ends_with("queued"), "{reply}");
    let counts = world.spool().counts();
    assert_eq!((counts.entries, counts.dead), (1, 0));
    world.shards[1].set_mood(slow, Mood::Stores);
    world
        .until("all are served", |world| {
            world.spool().counts().entries == 0
        })
        .await;
    let mut served: Vec<_> = world.shards.iter().flat_map(|shard| shard.kept()).collect();
    served.sort_by_key(|kept| kept.account);
    served.dedup_by_key(|kept| (kept.account, kept.delivery.clone()));
    let mut accounts: Vec<_> = served.iter().map(|kept| kept.account).collect();
    let mut expected = vec![quick, slow, moves];
    expected.sort();
    accounts.dedup();
    assert_eq!(
        accounts, expected,
        "one copy each, and none for the full one"
    );
    assert_eq!(served.len(), 3);
}

/// Once one message has waited for a shard in vain, others do not.
#[tokio::test]
async fn clients_do_not_wait_for_a_shard_that_is_away() {
    let world = World::with(|config| {
        config.timeouts.spool_after = Duration::from_secs(1);
        config.timeouts.spool_attempt = Duration::from_millis(100);
    })
    .await;
    let hanging = world.account("a@ours.example", 0);
    let other = world.account("b@ours.example", 1);
    world.shards[0].set_mood(hanging, Mood::Hangs);
    let mut client = world.client().await;
    client.mail(&["a@ours.example"], MESSAGE).await;
    let shard = world.shards[0].name.parse().unwrap();
    // Where the first second went by before the shard was reached, the spool's own attempt finds out.
    world
        .until("it is away", |world| world.spool().is_away(&shard))
        .await;
    let asked = std::time::Instant::now();
    let to = ["a@ours.example", "b@ours.example"];
    let reply = client.mail(&to, "Subject: second\r\n\r\n").await;
    assert!(reply.ends_with("queued"), "{reply}");
    assert!(asked.elapsed() < Duration::from_millis(900), "{asked:?}");
    assert_eq!(world.shards[1].kept()[0].account, other);
    // LMTP has no spool: it asks the shard itself.
    world.shards[0].set_mood(hanging, Mood::Stores);
    let mut lmtp = world.lmtp_client().await;
    let reply = lmtp
        .mail(&["a@ours.example"], "Subject: third\r\n\r\n")
        .await;
    assert!(reply.ends_with("stored"), "{reply}");
    world
        .until("all delivered", |world| {
            world.spool().counts().entries == 0 && world.spool().away() == 0
        })
        .await;
    assert_eq!(world.shards[0].kept().len(), 3);
}

/// One client waits for a shard that hangs; what comes after it does not, and mail for the other
/// shard is stored all the while, however much there is for the one that hangs.
#[tokio::test]
async fn a_shard_that_hangs_does_not_take_all_places() {
    let world = World::with(|config| {
        config.timeouts.spool_after = Duration::from_secs(4);
        config.limits.max_deliveries = 8;
    })
    .await;
    let hanging = world.account("a@ours.example", 0);
    world.account("b@ours.example", 1);
    world.shards[0].set_mood(hanging, Mood::Hangs);
    let waiting = (0..12).map(|number| {
        let world = &world;
        async move {
            let mut client = world.client().await;
            let text = format!("Subject: {number}\r\n\r\n");
            client.mail(&["a@ours.example"], &text).await
        }
    });
    let began = std::time::Instant::now();
    let others = async {
        world
            .until("calls hang", |world| world.shards[0].calls() == 2)
            .await;
        let mut client = world.client().await;
        for number in 0..20 {
            let text = format!("Subject: {number}\r\n\r\n");
            let reply = client.mail(&["b@ours.example"], &text).await;
            assert!(reply.ends_with("stored"), "{reply}");
        }
        assert!(began.elapsed() < Duration::from_secs(3), "they waited too");
    };
    let (replies, ()) = tokio::join!(futures::future::join_all(waiting), others);
    assert!(replies.iter().all(|reply| reply.ends_with("queued")));
    let asked = std::time::Instant::now();
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    assert!(asked.elapsed() < Duration::from_secs(2), "once was enough");
}

/// A message for more accounts than one entry of the spool holds.
#[tokio::test]
async fn large_aliases_are_spooled_too() {
    let world = World::new().await;
    let mut accounts = Vec::new();
    for number in 0..600 {
        let account = world.account(&format!("a{number}@ours.example"), 0);
        world.shards[0].set_mood(account, Mood::Retry);
        accounts.push(account);
    }
    world.directory.lead("all@ours.example", &accounts);
    let mut client = world.client().await;
    let reply = client.mail(&["all@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("queued"), "{reply}");
    assert_eq!(world.spool().counts().pending, 600);
    for account in accounts {
        world.shards[0].set_mood(account, Mood::Stores);
    }
    world
        .until("all delivered", |world| world.spool().counts().entries == 0)
        .await;
    assert_eq!(world.shards[0].kept().len(), 600);
}

/// With a full spool nothing probes a shard, so clients' messages must.
#[tokio::test]
async fn a_full_spool_does_not_hide_that_a_shard_is_back() {
    let world = World::with(|config| {
        config.spool.max_entries = 0;
        impatient(config);
    })
    .await;
    let account = world.account("a@ours.example", 0);
    world.shards[0].set_mood(account, Mood::Hangs);
    let mut client = world.client().await;
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.starts_with("451 4.3.1 id="), "{reply}");
    world.shards[0].set_mood(account, Mood::Stores);
    let reply = client.mail(&["a@ours.example"], MESSAGE).await;
    assert!(reply.ends_with("stored"), "{reply}");
}
