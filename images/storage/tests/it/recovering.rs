//! The heap alone decides: the index may be missing, older, foreign or broken.

use buzonera_storage::shard::Shard;
use wire::ids::AccountId;

use crate::rig::{Rig, account, as_read, copy_folder, delivery, read_all};

async fn three_messages(rig: &mut Rig, a: AccountId) {
    rig.create(a).await;
    for id in 1..=3 {
        rig.shard().deliver(&delivery(id, b"m", &[a])).await;
    }
    let maildrop = crate::rig::open(rig.shard(), a, 1).await.unwrap();
    maildrop.expunge(&[2]).await.unwrap();
}

async fn check(shard: &Shard, a: AccountId) {
    let expected = [(1, as_read(a, b"m")), (3, as_read(a, b"m"))];
    assert_eq!(read_all(shard, a).await, expected);
    assert_eq!(shard.totals().messages, 2);
}

#[tokio::test]
async fn a_missing_index_is_rebuilt() {
    let mut rig = Rig::new(1);
    let a = account(1);
    three_messages(&mut rig, a).await;
    rig.close();
    std::fs::remove_dir_all(rig.index()).unwrap();
    rig.open();
    check(rig.shard(), a).await;
}

#[tokio::test]
async fn an_older_index_catches_up() {
    let mut rig = Rig::new(2);
    let a = account(1);
    rig.create(a).await;
    rig.close();
    let older = tempfile::tempdir().unwrap();
    copy_folder(&rig.index(), older.path());
    rig.open();
    for id in 1..=3 {
        rig.shard().deliver(&delivery(id, b"m", &[a])).await;
    }
    let maildrop = crate::rig::open(rig.shard(), a, 1).await.unwrap();
    maildrop.expunge(&[2]).await.unwrap();
    drop(maildrop);
    rig.close();
    std::fs::remove_dir_all(rig.index()).unwrap();
    copy_folder(older.path(), &rig.index());
    let (shard, rebuilt) = rig.try_open().unwrap();
    assert_eq!(rebuilt, None);
    check(&shard, a).await;
    shard.close();
}

#[tokio::test]
async fn another_heaps_index_is_thrown_away() {
    let mut other = Rig::new(3);
    three_messages(&mut other, account(2)).await;
    other
        .shard()
        .deliver(&delivery(9, b"other", &[account(2)]))
        .await;
    other.close();
    let mut rig = Rig::new(4);
    let a = account(1);
    three_messages(&mut rig, a).await;
    rig.close();
    std::fs::remove_dir_all(rig.index()).unwrap();
    copy_folder(&other.index(), &rig.index());
    let (shard, rebuilt) = rig.try_open().unwrap();
    assert!(rebuilt.is_some());
    check(&shard, a).await;
    shard.close();
}

#[tokio::test]
async fn a_broken_index_is_thrown_away() {
    let mut rig = Rig::new(5);
    let a = account(1);
    three_messages(&mut rig, a).await;
    rig.close();
    break_files(&rig.index());
    let (shard, rebuilt) = rig.try_open().unwrap();
    assert!(rebuilt.is_some());
    check(&shard, a).await;
    shard.close();
}

fn break_files(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => break_files(&path),
            false => std::fs::write(&path, b"not what was here").unwrap(),
        }
    }
}
