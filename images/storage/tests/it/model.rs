//! Random work with power cuts at random points, compared with what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buzonera_storage::shard::deliver::Outcome;
use proptest::prelude::*;
use tempfile::TempDir;
use wire::ids::AccountId;

use crate::rig::{Rig, account, as_read, copy_folder, delivery, open, read_all};

const ACCOUNTS: [u8; 3] = [1, 2, 3];

#[derive(Debug, Clone)]
enum Step {
    Deliver {
        id: u64,
        to: Vec<u8>,
    },
    Expunge {
        from: u8,
        which: prop::sample::Index,
    },
    Restart,
    /// Work under way, then the power goes after some microseconds.
    PowerCut {
        work: Vec<(u64, Vec<u8>)>,
        expunge: u8,
        after_us: u64,
        index: Fate,
    },
    /// The index is lost.
    LoseIndex,
    /// The index of the last restart comes back.
    OlderIndex,
}

/// What a power cut makes of the index, which is never synced with the heap.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Older,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Kept), Just(Fate::Lost), Just(Fate::Older)]
}

fn targets() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::subsequence(ACCOUNTS.to_vec(), 1..=3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..30, targets()).prop_map(|(id, to)| Step::Deliver { id, to }),
        3 => (1_u8..=3, any::<prop::sample::Index>())
            .prop_map(|(from, which)| Step::Expunge { from, which }),
        1 => Just(Step::Restart),
        2 => (prop::collection::vec((0_u64..30, targets()), 1..6), 1_u8..=3, 0_u64..3000, fate())
            .prop_map(|(work, expunge, after_us, index)| Step::PowerCut {
                work,
                expunge,
                after_us,
                index,
            }),
        1 => Just(Step::LoseIndex),
        1 => Just(Step::OlderIndex),
    ]
}

/// What must, may and must not be there.
#[derive(Default)]
struct Expected {
    /// Acknowledged and not expunged: (account, delivery) to its UID.
    there: BTreeMap<(u8, u64), u32>,
    /// Asked for and not acknowledged.
    unsure: BTreeSet<(u8, u64)>,
    /// Acknowledged once; its UID is remembered.
    remembered: BTreeMap<(u8, u64), u32>,
    /// Expunged, or perhaps.
    expunged: BTreeSet<(u8, u32)>,
    maybe_expunged: BTreeSet<(u8, u32)>,
    /// Every UID ever seen and its message: UIDs never return.
    uids: BTreeMap<(u8, u32), u64>,
}

struct World {
    rig: Rig,
    expected: Expected,
    older: Option<TempDir>,
}

/// The body tells which delivery it is; some are larger than what is summed at a time.
fn body(id: u64) -> Vec<u8> {
    let size = if id.is_multiple_of(10) {
        270_000
    } else {
        10 + id as usize * 37
    };
    let mut body = id.to_be_bytes().to_vec();
    body.resize(size, id as u8);
    body
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut rig = Rig::new(seed);
        for n in ACCOUNTS {
            rig.create(account(n)).await;
        }
        Self {
            rig,
            expected: Expected::default(),
            older: None,
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Deliver { id, to } => self.deliver(id, &to).await,
            Step::Expunge { from, which } => self.expunge(from, which).await,
            Step::Restart => {
                self.rig.close();
                self.keep_index();
                self.rig.open();
                self.check().await;
            }
            Step::PowerCut {
                work,
                expunge,
                after_us,
                index,
            } => {
                self.cut_power(work, expunge, after_us).await;
                self.start_with(index).await;
            }
            Step::LoseIndex => self.start_with(Fate::Lost).await,
            Step::OlderIndex => self.start_with(Fate::Older).await,
        }
    }

    async fn start_with(&mut self, index: Fate) {
        self.rig.close();
        let older = self.older.as_ref().filter(|_| matches!(index, Fate::Older));
        if older.is_some() || matches!(index, Fate::Lost) {
            std::fs::remove_dir_all(self.rig.index()).unwrap();
        }
        if let Some(older) = older {
            copy_folder(older.path(), &self.rig.index());
        }
        self.rig.open();
        self.check().await;
    }

    fn keep_index(&mut self) {
        let older = tempfile::tempdir().unwrap();
        copy_folder(&self.rig.index(), older.path());
        self.older = Some(older);
    }

    async fn deliver(&mut self, id: u64, to: &[u8]) {
        let accounts: Vec<AccountId> = to.iter().map(|n| account(*n)).collect();
        let outcomes = self
            .rig
            .shard()
            .deliver(&delivery(id, &body(id), &accounts))
            .await;
        self.acknowledged(to.iter().map(|n| (*n, id)).zip(outcomes).collect());
    }

    /// Answers that came at about the same time: who stored it is looked at first.
    fn acknowledged(&mut self, mut answers: Vec<((u8, u64), Outcome)>) {
        let expected = &mut self.expected;
        answers.sort_by_key(|(_, outcome)| match outcome {
            Outcome::Stored(_) => 0,
            Outcome::Unready(_) => 1,
            Outcome::Duplicate(_) => 2,
        });
        for (key, outcome) in answers {
            let (n, id) = key;
            match outcome {
                Outcome::Stored(at) => {
                    let maybe = expected.unsure.remove(&key);
                    let seen = expected.remembered.insert(key, at.uid);
                    assert!(seen.is_none(), "{key:?} was stored twice");
                    let other = expected.uids.insert((n, at.uid), id);
                    assert!(other.is_none() || maybe, "UID {} returned", at.uid);
                    expected.there.insert(key, at.uid);
                }
                Outcome::Duplicate(at) => {
                    let unsure = expected.unsure.remove(&key);
                    let known = expected.remembered.insert(key, at.uid);
                    assert!(
                        unsure || known == Some(at.uid),
                        "{key:?} was never delivered"
                    );
                    let gone = expected.expunged.contains(&(n, at.uid))
                        || expected.maybe_expunged.contains(&(n, at.uid));
                    if unsure && !gone {
                        expected.there.insert(key, at.uid);
                        expected.uids.insert((n, at.uid), id);
                    }
                }
                Outcome::Unready(_) => {
                    if !expected.remembered.contains_key(&key) {
                        expected.unsure.insert(key);
                    }
                }
            }
        }
    }

    async fn expunge(&mut self, from: u8, which: prop::sample::Index) {
        let maildrop = open(self.rig.shard(), account(from), 1).await.unwrap();
        if maildrop.messages().is_empty() {
            return;
        }
        let uid = maildrop.messages()[which.index(maildrop.messages().len())].uid;
        maildrop.expunge(&[uid]).await.unwrap();
        self.expected.gone(from, uid);
    }

    /// Work under way, and the power goes.
    async fn cut_power(&mut self, work: Vec<(u64, Vec<u8>)>, expunge: u8, after_us: u64) {
        let mut tasks = Vec::new();
        for (id, to) in work {
            let accounts: Vec<AccountId> = to.iter().map(|n| account(*n)).collect();
            let shard = self.rig.shard().clone();
            let task = tokio::spawn(async move {
                let delivery = delivery(id, &body(id), &accounts);
                shard.deliver(&delivery).await
            });
            tasks.push((id, to, task));
        }
        let shard = self.rig.shard().clone();
        let expunging = tokio::spawn(async move {
            let maildrop = open(&shard, account(expunge), 1).await.ok()?;
            let uid = maildrop.messages().first()?.uid;
            Some((uid, maildrop.expunge(&[uid]).await.is_ok()))
        });
        tokio::time::sleep(Duration::from_micros(after_us)).await;
        self.rig.sim.power_cut();
        let mut answers = Vec::new();
        for (id, to, task) in tasks {
            let outcomes = task.await.unwrap();
            answers.extend(to.into_iter().map(|n| (n, id)).zip(outcomes));
        }
        self.acknowledged(answers);
        match expunging.await.unwrap() {
            Some((uid, true)) => self.expected.gone(expunge, uid),
            Some((uid, false)) => {
                self.expected.maybe_expunged.insert((expunge, uid));
            }
            None => {}
        }
    }

    /// Everything acknowledged is there once, nothing else but what may be.
    async fn check(&mut self) {
        for n in ACCOUNTS {
            let id = account(n);
            let mut seen = BTreeMap::new();
            for (uid, octets) in read_all(self.rig.shard(), id).await {
                let prefix = as_read(id, b"").len();
                let head = octets[prefix..prefix + 8].try_into().unwrap();
                let delivered = u64::from_be_bytes(head);
                assert_eq!(octets, as_read(id, &body(delivered)));
                assert!(
                    seen.insert(delivered, uid).is_none(),
                    "{delivered} is there twice"
                );
                self.expected.seen(n, uid, delivered);
            }
            let expected = &self.expected;
            for ((m, delivered), uid) in &expected.there {
                let maybe_gone = expected.maybe_expunged.contains(&(n, *uid));
                if *m == n && !maybe_gone {
                    assert_eq!(seen.get(delivered), Some(uid), "{delivered} of {n} is lost");
                }
            }
        }
        let count: usize = {
            let mut count = 0;
            for n in ACCOUNTS {
                count += read_all(self.rig.shard(), account(n)).await.len();
            }
            count
        };
        assert_eq!(self.rig.shard().totals().messages, count as u64);
    }
}

impl Expected {
    fn gone(&mut self, from: u8, uid: u32) {
        self.there.retain(|(n, _), at| (*n, *at) != (from, uid));
        self.maybe_expunged.remove(&(from, uid));
        self.expunged.insert((from, uid));
    }

    /// A message is there: it may be, and its UID is its own.
    fn seen(&mut self, n: u8, uid: u32, delivered: u64) {
        let key = (n, delivered);
        assert!(!self.expunged.contains(&(n, uid)), "{uid} of {n} came back");
        let asked = self.there.contains_key(&key)
            || self.unsure.contains(&key)
            || self.maybe_expunged.contains(&(n, uid));
        assert!(asked, "{delivered} of {n} was never asked for");
        let owner = *self.uids.entry((n, uid)).or_insert(delivered);
        assert_eq!(owner, delivered, "UID {uid} of {n} returned");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_is_there_once(
        seed: u64,
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed).await;
            for step in steps {
                world.step(step).await;
            }
            world.check().await;
        });
    }
}
