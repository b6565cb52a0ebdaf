//! A shard over a simulated disk, without a network.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzonera_storage::account::access::{Assigned, Place};
use buzonera_storage::index::Index;
use buzonera_storage::lease::Lease;
use buzonera_storage::maildrop::{Maildrop, Mailstore, OpenError, ReadError, SessionInfo};
use buzonera_storage::metrics::Metrics;
use buzonera_storage::opening::Progress;
use buzonera_storage::records::proto::{Created, Holding, Limits, Ownership};
use buzonera_storage::records::{Change, body_sums};
use buzonera_storage::shard::deliver::{DeliverTo, Delivery, Outcome, Place as At};
use buzonera_storage::shard::{Settings, Shard, Unready};
use buzonera_storage::volume;
use bytes::Bytes;
use segments::sim::SimDisk;
use tempfile::TempDir;
use wire::ids::{AccountId, DeliveryId, Epoch};

/// What a test waits for at most.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long requests wait in tests that expect them to give up.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

pub(crate) const UID_VALIDITY: u32 = 1_700_000_000;

pub(crate) struct Rig {
    pub(crate) sim: SimDisk,
    folder: TempDir,
    shard: Option<Shard>,
    /// The lease's clock, in seconds.
    pub(crate) clock: Arc<AtomicU64>,
    assigned: HashMap<AccountId, Assigned>,
}

impl Rig {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rig = Self {
            sim: SimDisk::new(seed),
            folder: tempfile::tempdir().unwrap(),
            shard: None,
            clock: Arc::new(AtomicU64::new(1000)),
            assigned: HashMap::new(),
        };
        rig.open();
        rig
    }

    pub(crate) fn shard(&self) -> &Shard {
        self.shard.as_ref().expect("the shard is open")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    pub(crate) fn open(&mut self) {
        let (shard, rebuilt) = self.try_open().unwrap();
        assert_eq!(rebuilt, None, "nobody damaged the index");
        self.shard = Some(shard);
    }

    /// Opens; also why the index was rebuilt, if it was.
    pub(crate) fn try_open(&self) -> Result<(Shard, Option<String>), volume::VolumeError> {
        let heap = segments::Options {
            segment_bytes: 64 << 10,
            ..segments::Options::default()
        };
        let volume = volume::open(
            self.sim.disk(),
            heap,
            &self.index(),
            None,
            &Progress::default(),
        )?;
        let rebuilt = volume.rebuilt.clone();
        let clock = Arc::clone(&self.clock);
        let now = Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
        let lease = Lease::new(now, PATIENCE);
        lease.granted(lease.now(), Duration::from_secs(20));
        let settings = Settings {
            kept_accounts: 2,
            patience: PATIENCE,
            checkpoint_bytes: 32 << 10,
            ..Settings::default()
        };
        let name = "shard-1".parse().unwrap();
        let shard = Shard::start(name, volume, lease, settings, Metrics::default())?;
        shard.assign_all(self.assigned.clone());
        Ok((shard, rebuilt))
    }

    /// Closes as a process that is asked to stop does.
    pub(crate) fn close(&mut self) {
        if let Some(shard) = self.shard.take() {
            shard.close();
        }
    }

    /// Waits until sessions that end have let go of the index, as the volume's lock waits.
    pub(crate) async fn is_let_go(&self) {
        let free = || Index::open(&self.index(), None).is_ok();
        crate::net::until("the index is free", free).await;
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Ends what runs as a power cut does, and starts the shard again.
    pub(crate) fn power_cut(&mut self) {
        self.sim.power_cut();
        self.close();
    }

    pub(crate) fn assign(&mut self, id: AccountId, epoch: u64, place: Place) {
        let epoch = Epoch(epoch);
        let assigned = Assigned { epoch, place };
        self.assigned.insert(id, assigned);
        self.shard().assign(id, assigned);
    }

    pub(crate) async fn create(&mut self, id: AccountId) {
        let created = Created {
            epoch: 1,
            uid_validity: UID_VALIDITY,
            limits: Some(Limits::default()),
        };
        self.change(id, Change::Created(created)).await.unwrap();
        self.assign(id, 1, Place::Active);
    }

    pub(crate) async fn become_(&self, id: AccountId, holding: Holding, epoch: u64) {
        let ownership = Ownership {
            epoch,
            holding: holding.into(),
            ..Ownership::default()
        };
        self.change(id, Change::Ownership(ownership)).await.unwrap();
    }

    pub(crate) async fn change(&self, id: AccountId, change: Change) -> Result<(), Unready> {
        self.shard().change(id, |_| Ok(Some(change))).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.sim.release_syncs();
        self.close();
    }
}

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

/// A message whose prefix names its account.
pub(crate) fn delivery(id: u64, body: &[u8], accounts: &[AccountId]) -> Delivery {
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&id.to_be_bytes());
    let body = match body.is_empty() {
        true => Vec::new(),
        false => body.chunks(1000).map(Bytes::copy_from_slice).collect(),
    };
    Delivery {
        id: DeliveryId::from_bytes(octets),
        received_at_ms: 1_700_000_000_000,
        body_sums: body_sums(&body),
        body,
        targets: accounts
            .iter()
            .map(|account| DeliverTo {
                account: *account,
                epoch: Epoch(1),
                prefix: Bytes::from(format!("Delivered-To: {account}\r\n")),
            })
            .collect(),
    }
}

/// What the account's owner reads of such a message.
pub(crate) fn as_read(account: AccountId, body: &[u8]) -> Vec<u8> {
    let mut octets = format!("Delivered-To: {account}\r\n").into_bytes();
    octets.extend_from_slice(body);
    octets
}

pub(crate) fn stored(uid: u32) -> Outcome {
    Outcome::Stored(place(uid))
}

pub(crate) fn duplicate(uid: u32) -> Outcome {
    Outcome::Duplicate(place(uid))
}

fn place(uid: u32) -> At {
    At {
        uid_validity: UID_VALIDITY,
        uid,
    }
}

pub(crate) async fn open(shard: &Shard, id: AccountId, epoch: u64) -> Result<Maildrop, OpenError> {
    let info = SessionInfo {
        session: "test".to_owned(),
        client: "192.0.2.1:1".parse().unwrap(),
    };
    let store = Mailstore::new(shard.clone());
    store.open_maildrop(id, Epoch(epoch), info).await
}

/// All of the account's messages by UID, as a mail client reads them at epoch 1.
pub(crate) async fn read_all(shard: &Shard, id: AccountId) -> Vec<(u32, Vec<u8>)> {
    read_all_at(shard, id, 1).await
}

/// As [`read_all`], at an epoch.
pub(crate) async fn read_all_at(shard: &Shard, id: AccountId, epoch: u64) -> Vec<(u32, Vec<u8>)> {
    let maildrop = open(shard, id, epoch).await.unwrap();
    let mut messages = Vec::new();
    for (at, message) in maildrop.messages().iter().enumerate() {
        let octets = read_one(&maildrop, at).await.unwrap();
        assert_eq!(octets.len() as u64, message.size);
        assert_eq!(message.uidl, format!("{UID_VALIDITY}.{}", message.uid));
        messages.push((message.uid, octets));
    }
    messages
}

/// One message of a maildrop.
pub(crate) async fn read_one(maildrop: &Maildrop, at: usize) -> Result<Vec<u8>, ReadError> {
    let mut octets = Vec::new();
    loop {
        let piece = maildrop.read(at, octets.len() as u64, 100_000).await?;
        if piece.is_empty() {
            return Ok(octets);
        }
        octets.extend_from_slice(&piece);
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
