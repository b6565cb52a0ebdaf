//! A full volume: nothing more is acknowledged, all that was is read, and a new start with room
//! goes on.

use std::time::Duration;

use buzonera_storage::records::Change;
use buzonera_storage::records::proto::{Holding, Ownership};
use buzonera_storage::shard::deliver::Outcome;
use buzonera_storage::shard::{Ending, Unready, Why};
use buzonera_storage::space::Space;
use segments::sim::{Fault, Rng};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::ids::AccountId;

use crate::pop3::site::{OWNER, Site};
use crate::rig::{Rig, SOON, account, as_read, delivery, duplicate, open, read_all, stored};

const ACCOUNTS: [u8; 3] = [1, 2, 3];

/// Octets of all files.
fn used(rig: &Rig) -> u64 {
    let files = rig.sim.files();
    let sizes = files.iter().map(|name| rig.sim.contents(name).len() as u64);
    sizes.sum()
}

fn body(id: u64) -> Vec<u8> {
    vec![b'a' + (id % 26) as u8; 100 + (id as usize * 997) % 5000]
}

/// What was acknowledged: account, delivery, UID.
type Kept = Vec<(u8, u64, u32)>;

/// Delivers until something is refused, several at a time; gives what was acknowledged.
async fn fill(rig: &Rig) -> Kept {
    let mut kept = Kept::new();
    let mut next = 0;
    let mut refused = false;
    while !refused {
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            next += 1;
            let (id, to) = (next, ACCOUNTS[next as usize % 3]);
            let shard = rig.shard().clone();
            tasks.spawn(async move {
                let delivery = delivery(id, &body(id), &[account(to)]);
                (to, id, shard.deliver(&delivery).await)
            });
        }
        for (to, id, outcomes) in tasks.join_all().await {
            match &outcomes[..] {
                [Outcome::Stored(place)] => kept.push((to, id, place.uid)),
                [Outcome::Unready(Unready::Retry(_))] => refused = true,
                other => panic!("{other:?}"),
            }
        }
        assert!(next < 1000, "the disk is never full");
    }
    kept
}

async fn check(rig: &Rig, kept: &Kept) {
    for to in ACCOUNTS {
        let id = account(to);
        let mut expected: Vec<_> = kept.iter().filter(|(n, ..)| *n == to).collect();
        expected.sort_by_key(|(_, _, uid)| *uid);
        let found = read_all(rig.shard(), id).await;
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(_, delivery, uid)| (*uid, as_read(id, &body(*delivery))))
            .collect();
        assert!(found == expected, "account {to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_reading_goes_on() {
    for seed in 0..30 {
        let mut rig = Rig::new(seed);
        for n in ACCOUNTS {
            rig.create(account(n)).await;
        }
        let room = Rng::new(seed).below(100_000);
        rig.sim.set_capacity(Some(used(&rig) + room));
        let kept = fill(&rig).await;
        assert!(rig.shard().is_read_only(), "seed {seed}");
        check(&rig, &kept).await;
        let failed = timeout(Duration::from_millis(1), rig.shard().failed()).await;
        assert!(failed.is_err(), "seed {seed}: {failed:?}");
        let later = delivery(5000, b"later", &[account(1)]);
        let refused = rig.shard().deliver(&later).await;
        assert!(
            matches!(refused[..], [Outcome::Unready(Unready::Retry(Why::Full))]),
            "{refused:?}"
        );
        check(&rig, &kept).await;
        again_with_room(rig, kept).await;
    }
}

/// The shard starts anew. What was refused may be there; a retry makes no second copy.
async fn again_with_room(mut rig: Rig, mut kept: Kept) {
    rig.close();
    rig.sim.set_capacity(None);
    rig.open();
    let last = kept.iter().map(|(_, id, _)| *id).max().unwrap_or(0);
    for id in 1..=last + 6 {
        let to = ACCOUNTS[id as usize % 3];
        let outcomes = rig
            .shard()
            .deliver(&delivery(id, &body(id), &[account(to)]))
            .await;
        let known = kept.iter().find(|(_, other, _)| *other == id);
        match (&outcomes[..], known) {
            ([Outcome::Duplicate(place)], Some((_, _, uid))) => assert_eq!(place.uid, *uid),
            ([Outcome::Duplicate(place) | Outcome::Stored(place)], None) => {
                kept.push((to, id, place.uid));
            }
            (other, known) => panic!("{known:?} {other:?}"),
        }
    }
    check(&rig, &kept).await;
}

#[tokio::test]
async fn a_sync_that_finds_no_room() {
    let mut rig = Rig::new(40);
    let a = account(1);
    rig.create(a).await;
    let first = rig.shard().deliver(&delivery(1, b"one", &[a])).await;
    assert_eq!(first, [stored(1)]);
    rig.sim.fail_next_sync(Fault::Full);
    let second = rig.shard().deliver(&delivery(2, b"two", &[a])).await;
    assert!(matches!(second[..], [Outcome::Unready(Unready::Retry(_))]));
    assert_eq!(read_all(rig.shard(), a).await, [(1, as_read(a, b"one"))]);
    rig.reopen();
    let again = rig.shard().deliver(&delivery(2, b"two", &[a])).await;
    assert!(again == [stored(2)] || again == [duplicate(2)], "{again:?}");
}

/// Whoever decided on what was queued and then refused is refused too.
#[tokio::test]
async fn what_was_queued_is_not_said_to_be_so() {
    let mut rig = Rig::new(41);
    let a = account(1);
    rig.create(a).await;
    rig.sim.hold_syncs();
    let held = deliver(&rig, 1, a);
    let sim = rig.sim.clone();
    tokio::task::spawn_blocking(move || sim.wait_for_held_sync())
        .await
        .unwrap();
    let fence = Change::Ownership(Ownership {
        epoch: 1,
        holding: Holding::Fenced.into(),
        ..Ownership::default()
    });
    let fenced = change(&rig, a, Some(fence));
    let already = change(&rig, a, None);
    let queued = || rig.shard().account(a).unwrap().unwrap().holding;
    crate::net::until("the fence is queued", || queued() == Holding::Fenced).await;
    rig.sim.set_capacity(Some(used(&rig)));
    rig.sim.release_syncs();
    assert_eq!(held.await.unwrap(), [stored(1)]);
    assert!(fenced.await.unwrap().is_err());
    assert!(already.await.unwrap().is_err());
    let found = rig.shard().account(a).unwrap().unwrap();
    assert_eq!(found.holding, Holding::Owner, "as it is on the disk");
    assert!(open(rig.shard(), a, 1).await.is_ok());
}

fn deliver(rig: &Rig, id: u64, to: AccountId) -> tokio::task::JoinHandle<Vec<Outcome>> {
    let shard = rig.shard().clone();
    tokio::spawn(async move { shard.deliver(&delivery(id, b"m", &[to])).await })
}

fn change(
    rig: &Rig,
    id: AccountId,
    change: Option<Change>,
) -> tokio::task::JoinHandle<Result<(), Unready>> {
    let shard = rig.shard().clone();
    tokio::spawn(async move { shard.change(id, |_| Ok::<_, Unready>(change)).await })
}

#[tokio::test]
async fn room_again_asks_for_a_new_start() {
    let mut rig = Rig::new(42);
    let a = account(1);
    rig.create(a).await;
    rig.sim.fail_next_write(Fault::Full);
    rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert!(rig.shard().is_read_only());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let watch = Space::now(&path).watch(rig.shard().clone(), path, Duration::from_millis(5), 0);
    let watching = tokio::spawn(watch);
    let ending = timeout(SOON, rig.shard().failed()).await.unwrap();
    assert!(matches!(ending, Ending::RoomAgain), "{ending}");
    watching.abort();
}

#[tokio::test]
async fn pop3_goes_on_and_deletes_nothing() {
    let mut site = Site::new(43, &[b"one\r\n", b"two\r\n"]).await;
    let owner = account(OWNER);
    let mut client = site.opened().await;
    site.rig.sim.set_capacity(Some(used(&site.rig)));
    let refused = site.rig.shard().deliver(&delivery(9, b"m", &[owner])).await;
    assert!(matches!(refused[..], [Outcome::Unready(Unready::Retry(_))]));
    let (first, message) = client.ask_many("RETR 1").await;
    assert!(first.starts_with("+OK "), "{first}");
    assert!(message.ends_with("one\r\n.\r\n"), "{message}");
    client.ask("DELE 1").await;
    let answer = client.ask("QUIT").await;
    assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{answer}");
    let mut client = site.opened().await;
    assert!(client.ask("STAT").await.starts_with("+OK 2 "));
    let (_, message) = client.ask_many("RETR 2").await;
    assert!(message.ends_with("two\r\n.\r\n"), "{message}");
    assert_eq!(client.ask("QUIT").await, "+OK bye");
    site.rig.close();
    site.rig.sim.set_capacity(None);
    site.shutdown.trigger();
    drop(client);
    site.rig.is_let_go().await;
    site.rig.open();
    assert_eq!(read_all(site.rig.shard(), owner).await.len(), 2);
}

/// On a real file system, which the index fills too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_without_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=24m none \"$1\" && cd \"$1\"";
    let test = "full::a_file_system_without_room";
    if !crate::apart::is_inside(test, "--mount", mount, path) {
        return;
    }
    let data = std::env::current_dir().unwrap();
    let ballast = data.join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let a = account(1);
    let shard = crate::volume::start(&data.join("volume")).await;
    let body = vec![b'x'; 5000];
    let mut kept = Vec::new();
    let mut next = 0;
    while !shard.is_read_only() {
        next += 1;
        let delivery = delivery(next, &body, &[a]);
        match &timeout(SOON, shard.deliver(&delivery)).await.unwrap()[..] {
            [Outcome::Stored(place)] => kept.push((place.uid, as_read(a, &body))),
            [Outcome::Unready(Unready::Retry(_))] => {}
            other => panic!("{other:?}"),
        }
        assert!(next < 100_000, "the file system is never full");
    }
    assert!(kept.len() > 100, "{}", kept.len());
    assert!(read_all(&shard, a).await == kept);
    shard.close();
    drop(shard);
    std::fs::remove_file(&ballast).unwrap();
    let shard = crate::volume::start(&data.join("volume")).await;
    let found = read_all(&shard, a).await;
    assert!(found[..kept.len()] == kept[..], "{}", found.len());
    let again = shard.deliver(&delivery(1, &body, &[a])).await;
    assert_eq!(again, [duplicate(1)]);
    let later = shard.deliver(&delivery(next + 1, &body, &[a])).await;
    assert!(matches!(later[..], [Outcome::Stored(_)]), "{later:?}");
    shard.close();
}
