//! What goes wrong at a start, in three classes: what may pass deletes nothing; an index that is
//! damaged is rebuilt; a heap that has lost acknowledged mail is not served.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use buzonera_storage::opening::Progress;
use buzonera_storage::shard::deliver::Outcome;
use buzonera_storage::shard::{Ending, Unready};
use buzonera_storage::volume::{self, VolumeError, VolumeLock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::timeout;
use wire::ids::AccountId;

use crate::rig::{Rig, SOON, account, as_read, copy_folder, delivery, open, read_all, stored};

const MESSAGES: u32 = 40;

/// A closed shard whose index has tables and a journal.
async fn written(seed: u64) -> (Rig, AccountId) {
    let mut rig = Rig::new(seed);
    let a = account(1);
    rig.create(a).await;
    for uid in 1..=MESSAGES {
        deliver(&rig, a, uid).await;
        if uid % 10 == 0 {
            rig.close();
            flush(&rig.index());
            rig.open();
        }
    }
    deliver(&rig, a, MESSAGES + 1).await;
    rig.close();
    (rig, a)
}

async fn deliver(rig: &Rig, a: AccountId, uid: u32) {
    let delivery = delivery(u64::from(uid), body(uid).as_bytes(), &[a]);
    assert_eq!(rig.shard().deliver(&delivery).await, [stored(uid)]);
}

fn body(uid: u32) -> String {
    format!("message {uid}")
}

/// Everything that was delivered is read, in order, and nothing else.
async fn check(rig: &Rig, a: AccountId, last: u32, why: &str) {
    let expected: Vec<_> = (1..=last)
        .map(|uid| (uid, as_read(a, body(uid).as_bytes())))
        .collect();
    assert!(read_all(rig.shard(), a).await == expected, "{why}");
    assert_eq!(rig.shard().totals().messages, u64::from(last), "{why}");
}

/// Makes tables of what is in the index's journal, as the store does by itself in a large one.
fn flush(index: &Path) {
    let database = fjall::Database::builder(index).open().unwrap();
    let options = fjall::KeyspaceCreateOptions::default;
    let rows = database.keyspace("rows", options).unwrap();
    rows.rotate_memtable_and_wait().unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Whatever a torn index lacks, it is rebuilt or right: also after more was written to it, and
/// opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lacks_any_file_is_rebuilt_or_right() {
    let (mut rig, a) = written(1).await;
    let whole = tempfile::tempdir().unwrap();
    copy_folder(&rig.index(), whole.path());
    let names: Vec<_> = files(whole.path())
        .into_iter()
        .map(|path| path.strip_prefix(whole.path()).unwrap().to_owned())
        .collect();
    assert!(names.len() > 8, "{names:?}");
    let one = names.iter().map(|name| vec![name.clone()]);
    // As an interrupted removal leaves it.
    let first = (2..names.len()).map(|count| names[..count].to_vec());
    let mut last = MESSAGES + 1;
    let mut rebuilt_once = false;
    for gone in one.chain(first) {
        for emptied in [false, true] {
            let why = format!("without {gone:?}, emptied: {emptied}");
            fs::remove_dir_all(rig.index()).unwrap();
            copy_folder(whole.path(), &rig.index());
            for name in &gone {
                let path = rig.index().join(name);
                match emptied {
                    true => fs::write(path, b"").unwrap(),
                    false => fs::remove_file(path).unwrap(),
                }
            }
            let opened = rig
                .try_open()
                .unwrap_or_else(|error| panic!("{why}: {error}"));
            rebuilt_once |= opened.1.is_some();
            opened.0.close();
            drop(opened);
            rig.open();
            check(&rig, a, last, &why).await;
            last += 1;
            deliver(&rig, a, last).await;
            check(&rig, a, last, &why).await;
            rig.reopen();
            check(&rig, a, last, &why).await;
            rig.close();
        }
    }
    assert!(rebuilt_once);
}

/// The index is the witness: it reflects only what was durable.
#[tokio::test]
async fn a_heap_that_lost_acknowledged_mail_is_not_served() {
    let mut rig = Rig::new(2);
    let a = account(1);
    rig.create(a).await;
    for uid in 1..=3 {
        deliver(&rig, a, uid).await;
    }
    let older = rig.shard().log().end();
    for uid in 4..=6 {
        deliver(&rig, a, uid).await;
    }
    rig.close();
    let name = format!("{:016x}.segment", older.segment);
    let newer = rig.sim.contents(&name);
    let end = usize::try_from(older.offset).unwrap();
    rig.sim.tamper(&name, |octets| octets.truncate(end));
    for _ in 0..3 {
        let error = rig.try_open().err().expect("the loss was not seen");
        let VolumeError::Lost(lost) = &error else {
            panic!("{error}");
        };
        assert_eq!(lost.end, older);
        let octets = lost.known.offset - older.offset;
        assert!(octets > 100, "{lost:?}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("at least {octets} octets")),
            "{text}"
        );
        assert!(text.contains("replace-volume"), "{text}");
    }
    rig.sim.tamper(&name, |octets| *octets = newer.clone());
    let (shard, rebuilt) = rig.try_open().unwrap();
    assert_eq!(rebuilt, None, "the index was left as it was");
    shard.close();
    drop(shard);
    for name in rig.sim.files() {
        rig.sim.lose(&name);
    }
    let error = rig.try_open().err().expect("an emptied heap was served");
    assert!(matches!(error, VolumeError::Lost(_)), "{error}");
}

/// The store asserts that a journal is a file.
#[tokio::test]
async fn a_store_that_panics_over_its_files_is_rebuilt() {
    let (mut rig, a) = written(3).await;
    fs::create_dir(rig.index().join("99.jnl")).unwrap();
    let (shard, rebuilt) = rig.try_open().unwrap();
    assert!(rebuilt.is_some_and(|why| why.contains("panicked")));
    shard.close();
    drop(shard);
    rig.open();
    check(&rig, a, MESSAGES + 1, "rebuilt").await;
    let beside: Vec<_> = fs::read_dir(rig.index().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(!beside.contains(&"index.dead".into()), "{beside:?}");
}

/// Changes the row of a message behind the shard's back.
fn change_row(index: &Path, a: AccountId, uid: u32, value: Option<&[u8]>) {
    let database = fjall::Database::builder(index).open().unwrap();
    let options = fjall::KeyspaceCreateOptions::default;
    let rows = database.keyspace("rows", options).unwrap();
    let mut key = b"M".to_vec();
    key.extend(a.as_bytes());
    key.extend([0; 4]);
    key.extend(uid.to_be_bytes());
    assert!(rows.contains_key(&key).unwrap());
    match value {
        Some(value) => rows.insert(key, value).unwrap(),
        None => rows.remove(key).unwrap(),
    }
}

#[tokio::test]
async fn damage_found_while_serving_ends_the_shard_and_is_mended_by_the_next_start() {
    for damage in [Some(&[0xff; 9][..]), None] {
        let (mut rig, a) = written(4).await;
        change_row(&rig.index(), a, 7, damage);
        let (shard, rebuilt) = rig.try_open().unwrap();
        assert_eq!(rebuilt, None, "nothing is seen yet");
        assert!(open(&shard, a, 1).await.is_err());
        let ending = timeout(SOON, shard.failed()).await.unwrap();
        assert!(matches!(ending, Ending::Damaged(_)), "{ending}");
        assert!(ending.wants_new_start());
        shard.close();
        drop(shard);
        let (shard, rebuilt) = rig.try_open().unwrap();
        assert!(rebuilt.is_some());
        shard.close();
        drop(shard);
        let (shard, rebuilt) = rig.try_open().unwrap();
        assert_eq!(rebuilt, None, "once is enough");
        shard.close();
        drop(shard);
        rig.open();
        check(&rig, a, MESSAGES + 1, "rebuilt").await;
    }
}

/// Opens the volume of a folder; its files.
fn open_real(data: &Path) -> Result<volume::Volume, VolumeError> {
    let lock = VolumeLock::take(data)?;
    let heap = volume::heap(data, &lock)?;
    let options = segments::Options::default();
    volume::open(
        heap,
        options,
        &data.join("index"),
        Some(&lock),
        &Progress::default(),
    )
}

/// However few file descriptors there are: refused, and nothing is deleted.
#[tokio::test]
async fn too_few_file_descriptors_delete_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let test = "troubles::too_few_file_descriptors_delete_nothing";
    if !crate::apart::is_inside(test, "--mount", "cd \"$1\"", path) {
        return;
    }
    let data = std::env::current_dir().unwrap();
    let shard = crate::volume::start(&data).await;
    let a = account(1);
    for uid in 1..=30 {
        let delivery = delivery(uid, body(uid as u32).as_bytes(), &[a]);
        assert_eq!(shard.deliver(&delivery).await, [stored(uid as u32)]);
    }
    shard.close();
    drop(shard);
    flush(&data.join("index"));
    let before = inode(&data.join("index"));
    let whole = getrlimit(Resource::Nofile);
    let mut refused = 0;
    for limit in 3..200 {
        let current = Some(limit);
        setrlimit(Resource::Nofile, Rlimit { current, ..whole }).unwrap();
        let opened = open_real(&data);
        setrlimit(Resource::Nofile, whole).unwrap();
        assert_eq!(inode(&data.join("index")), before, "limit {limit}");
        assert!(!data.join("index.dead").exists(), "limit {limit}");
        match opened {
            Ok(volume) => {
                assert_eq!(
                    (volume.rebuilt, volume.replayed),
                    (None, 0),
                    "limit {limit}"
                );
                break;
            }
            Err(VolumeError::Io { .. } | VolumeError::Heap(_) | VolumeError::Index(_)) => {
                refused += 1;
            }
            Err(other) => panic!("limit {limit}: {other}"),
        }
    }
    assert!((5..190).contains(&refused), "{refused} starts refused");
    let shard = crate::volume::start(&data).await;
    assert_eq!(read_all(&shard, a).await.len(), 30);
    shard.close();
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Copies the index with its holes: a journal is longer than what is in it.
fn put_back(from: &Path, to: &Path) {
    let mut copy = std::process::Command::new("cp");
    let copied = copy
        .args(["-a", "--sparse=always"])
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

/// Fills the file system that `data` is on to the last octet.
fn fill(data: &Path) -> PathBuf {
    use std::io::Write as _;
    let ballast = data.join("../ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    for block in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
    ballast
}

/// A shard that was closed starts on a full disk, and is read. One whose index is behind needs
/// room for it: the reserve; without that it is refused, and nothing is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_does_not_keep_a_shard_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=150m none \"$1\" && cd \"$1\"";
    let test = "troubles::a_full_disk_does_not_keep_a_shard_from_being_read";
    if !crate::apart::is_inside(test, "--mount", mount, path) {
        return;
    }
    let data = std::env::current_dir().unwrap().join("volume");
    let (a, index) = (account(1), data.join("index"));
    let older = tempfile::tempdir_in("/tmp").unwrap();
    let mut expected = Vec::new();
    let shard = crate::volume::start(&data).await;
    shard.close();
    drop(shard);
    let older = older.path().join("index");
    copy_folder(&index, &older);
    let shard = crate::volume::start(&data).await;
    for uid in 1..=400 {
        let delivery = delivery(u64::from(uid), body(uid).as_bytes(), &[a]);
        assert_eq!(shard.deliver(&delivery).await, [stored(uid)]);
        expected.push((uid, as_read(a, body(uid).as_bytes())));
    }
    shard.close();
    drop(shard);
    let reserve = data.join("reserve");
    fs::remove_file(&reserve).expect("a volume with room has a reserve");

    // Closed, and full to the last octet.
    let ballast = fill(&data);
    let before = inode(&index);
    let shard = crate::volume::start(&data).await;
    assert!(read_all(&shard, a).await == expected);
    // The store may have freed a little as it opened.
    let body = vec![b'x'; 256 << 10];
    for id in 1000.. {
        match &shard.deliver(&delivery(id, &body, &[a])).await[..] {
            [Outcome::Stored(place)] => expected.push((place.uid, as_read(a, &body))),
            [Outcome::Unready(Unready::Retry(_))] => break,
            other => panic!("{other:?}"),
        }
        assert!(id < 1100, "it was not full");
    }
    assert!(shard.is_read_only());
    assert!(read_all(&shard, a).await == expected);
    let failed = timeout(Duration::from_millis(1), shard.failed()).await;
    assert!(failed.is_err(), "{failed:?}");
    shard.close();
    drop(shard);
    assert_eq!(inode(&index), before);

    // Behind, and full, and without a reserve.
    fs::remove_file(&ballast).unwrap();
    fs::remove_dir_all(&index).unwrap();
    put_back(&older, &index);
    let before = inode(&index);
    let ballast = fill(&data);
    for _ in 0..3 {
        match open_real(&data).err() {
            Some(VolumeError::Index(error)) => assert!(error.is_full(), "{error}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(inode(&index), before);
    }

    // Behind, and full, but for what was kept back.
    fs::remove_file(&ballast).unwrap();
    drop(open_real(&data).unwrap());
    assert!(reserve.exists(), "it is made again");
    fs::remove_dir_all(&index).unwrap();
    put_back(&older, &index);
    fill(&data);
    let shard = crate::volume::start(&data).await;
    assert!(!reserve.exists());
    assert!(read_all(&shard, a).await == expected);
    shard.close();
}
