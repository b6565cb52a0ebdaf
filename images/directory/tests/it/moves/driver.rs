//! Drivers of the stage's moves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::election::Term;
use buzonera_directory::model::Key;
use buzonera_directory::model::records::MoverRecord;
use buzonera_directory::moves::{MovesConfig, Replica, drive};
use buzonera_directory::store::{Outcome, SharedStore, Txn};
use kit::lifecycle::{DRAIN, Shutdown};
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::{self, ChannelOptions, ShardChannels};
use prost::Message as _;
use tokio::task::JoinHandle;
use wire::identity::Tier;

use super::gate::{Gate, Hold};
use super::gated::{GatedStore, GatedWorld};
use super::gated_shard::GatedShard;
use super::stage::{LOOPBACK, Stage};

/// All that a driver does for a move, in order.
pub(crate) const EFFECTS: [&str; 12] = [
    "write copying",
    "prepare at shard-2",
    "write fencing",
    "prepare at shard-2",
    "fence at shard-1",
    "write fencing, fenced",
    "begin import at shard-2",
    "end import at shard-2",
    "digest at shard-1",
    "digest at shard-2",
    "write verified",
    "write done",
];

/// Those up to "write verified": after each of them an abort is possible.
pub(crate) const BEFORE_SWITCH: usize = 11;

/// A driver at work; dropped, it is gone without a word, as a killed process is.
pub(crate) struct Driver {
    task: JoinHandle<()>,
    gates: Shutdown,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
        self.gates.trigger_now();
    }
}

impl Stage {
    /// Starts a driver that nothing holds; an earlier one is deposed.
    pub(crate) async fn drive(&self) -> Driver {
        self.drive_through(&Gate::new(Hold::Nowhere)).await
    }

    /// Starts a driver whose every effect goes through `gate`; an earlier one is deposed.
    pub(crate) async fn drive_through(&self, gate: &Arc<Gate>) -> Driver {
        self.drive_few(gate, MovesConfig::IN_HAND).await
    }

    /// As [`Self::drive_through`], and at most so many moves take their turns at once.
    pub(crate) async fn drive_few(&self, gate: &Arc<Gate>, in_hand: usize) -> Driver {
        let term = take_over(&self.store).await;
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let mut gates = HashMap::new();
        for name in self.running() {
            let endpoint = self.gate(name, gate, &shutdown);
            gates.insert(name.parse().unwrap(), endpoint);
        }
        let channels = ShardChannels::new(self.directory(), ChannelOptions::default());
        let world = GatedWorld {
            replica: Replica::new(Arc::clone(&self.map), channels),
            gates,
            gate: Arc::clone(gate),
        };
        let store = Arc::new(GatedStore {
            inner: Arc::clone(&self.store),
            gate: Arc::clone(gate),
        });
        let settings = MovesConfig {
            in_hand,
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            ..MovesConfig::default()
        };
        Driver {
            task: tokio::spawn(drive(store, world, settings, term)),
            gates: shutdown,
        }
    }

    /// Serves a gate before a shard; where it listens.
    fn gate(&self, name: &str, gate: &Arc<Gate>, shutdown: &Shutdown) -> String {
        let listener = Listener::bind(ListenerConfig::new("gate", "", LOOPBACK)).unwrap();
        let endpoint = listener.local_addr().to_string();
        let gated = GatedShard {
            name: name.to_owned(),
            channel: self.channel(name, &self.directory()),
            gate: Arc::clone(gate),
        };
        let credentials = self.issue(Tier::Storage, name);
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let served = rpc::server::serve(listener, &credentials, gated.routes(), shutdown);
            served.await.unwrap();
        });
        endpoint
    }

    /// Drives until so many effects are done, and kills the driver then; what it did.
    pub(crate) async fn drive_and_kill(&self, effects: usize) -> Vec<String> {
        let gate = Gate::new(Hold::After(effects));
        if effects > 0 {
            let _killed = self.drive_through(&gate).await;
            gate.reached().await;
        }
        gate.names()
    }
}

/// Elects whoever calls.
pub(super) async fn take_over(store: &SharedStore) -> Term {
    let record = MoverRecord {
        instance: "a test".to_owned(),
        elected_at_ms: 1,
    };
    let txn = Txn::new().put(Key::Mover.to_string(), record.encode_to_vec());
    match store.commit(txn).await.unwrap() {
        Outcome::Committed(revision) => Term { revision },
        Outcome::Conflict => panic!("a condition of none"),
    }
}
