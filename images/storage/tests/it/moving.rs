//! An account moves from one shard to another, whoever restarts at whichever step.

use std::collections::BTreeMap;

use bytes::Bytes;
use tonic::{Code, Status};
use wire::identity::Tier;
use wire::ids::{AccountId, MoveId};
use wire::rpc::confirmation::What;
use wire::rpc::deliver_outcome::Outcome;
use wire::rpc::{
    AccountState, Debt, DigestReply, ExportRequest, ImportProgress, ImportRequest, MoveCommand,
};

use crate::net::{Cluster, Running};
use crate::rig::account;
use crate::serving::{create, deliver};

const MESSAGES: u8 = 20;

/// Octets a second of a copy: more than any test has.
const RATE: u64 = 1 << 40;

/// What the driver of a move does, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Prepare,
    Fence,
    Import,
    Digests,
    Switch,
    Serve,
    Drop,
}

const STEPS: [Step; 7] = [
    Step::Prepare,
    Step::Fence,
    Step::Import,
    Step::Digests,
    Step::Switch,
    Step::Serve,
    Step::Drop,
];

/// Two shards and an account that moves between them.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) shards: BTreeMap<&'static str, Running>,
    id: AccountId,
    epoch: u64,
    fenced: Option<(u64, u64)>,
}

pub(crate) struct Plan {
    move_id: MoveId,
    source: &'static str,
    target: &'static str,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let cluster = Cluster::new().await;
        let mut shards = BTreeMap::new();
        for name in ["a", "b"] {
            shards.insert(name, cluster.start(name).await);
        }
        let id = account(1);
        create(&cluster, &shards["a"], id).await;
        let stage = Self {
            cluster,
            shards,
            id,
            epoch: 1,
            fenced: None,
        };
        for message in 1..=MESSAGES {
            let outcome = stage.deliver("a", message).await;
            assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        }
        stage
    }

    async fn deliver(&self, shard: &str, message: u8) -> Outcome {
        let shard = &self.shards[shard];
        deliver(&self.cluster, shard, self.id, self.epoch, message)
            .await
            .unwrap()
    }

    async fn restart(&mut self, shard: &'static str) {
        self.shards.remove(shard).unwrap().stop().await;
        let started = self.cluster.start(shard).await;
        self.shards.insert(shard, started);
    }

    pub(crate) fn command(&self, plan: &Plan, epoch: u64) -> MoveCommand {
        MoveCommand {
            move_id: plan.move_id.to_field(),
            account: self.id.to_field(),
            epoch,
            source: plan.source.to_owned(),
            target: plan.target.to_owned(),
        }
    }

    /// One step, tried again as the driver does while a shard comes up.
    pub(crate) async fn step(&mut self, plan: &Plan, step: Step) {
        for _ in 0..200 {
            match self.try_step(plan, step).await {
                Ok(()) => return,
                Err(status) if status.code() == Code::Unavailable => {}
                // The source has another incarnation: fence again.
                Err(status) if status.message().contains("fence again") => {
                    self.try_step_fence(plan).await.unwrap();
                }
                Err(status) => panic!("{step:?}: {status}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{step:?} never succeeded");
    }

    async fn try_step_fence(&mut self, plan: &Plan) -> Result<(), Status> {
        let mut source = self.cluster.mover(&self.shards[plan.source]);
        let reply = source
            .fence(self.command(plan, self.epoch))
            .await?
            .into_inner();
        self.fenced = Some((reply.incarnation, reply.change_number));
        Ok(())
    }

    async fn try_step(&mut self, plan: &Plan, step: Step) -> Result<(), Status> {
        let mut source = self.cluster.mover(&self.shards[plan.source]);
        let mut target = self.cluster.mover(&self.shards[plan.target]);
        let now = self.command(plan, self.epoch);
        match step {
            Step::Prepare => drop(target.prepare(now).await?),
            Step::Fence => self.try_step_fence(plan).await?,
            Step::Import => {
                let last = self.import(plan).await?;
                assert!(last.complete);
                assert_eq!(last.messages, u64::from(MESSAGES));
            }
            Step::Digests => {
                let [from, to] = [&mut source, &mut target];
                let from = from.digest(now.clone()).await?.into_inner();
                let to = to.digest(now).await?.into_inner();
                assert_eq!(content(&from), content(&to));
            }
            Step::Switch => {
                self.epoch += 1;
                self.decided(plan.target, plan.source);
                self.cluster.owes(plan.source, &self.debt(plan, false));
            }
            Step::Serve => self.served().await,
            Step::Drop => self.drops(plan.source, &self.debt(plan, true)).await,
        }
        Ok(())
    }

    /// The directory says that the account is at `owner`, whose word `keeper` waits for.
    fn decided(&self, owner: &str, keeper: &str) {
        let active = AccountState::Active;
        let cluster = &self.cluster;
        cluster.says_kept(self.id, owner, self.epoch, active, &[keeper]);
    }

    async fn served(&self) {
        let what = What::Serving.into();
        self.cluster.confirmed(self.id, self.epoch, what).await;
    }

    fn debt(&self, plan: &Plan, due: bool) -> Debt {
        Debt {
            account: self.id.to_field(),
            move_id: plan.move_id.to_field(),
            epoch: self.epoch,
            due,
        }
    }

    async fn drops(&self, shard: &str, debt: &Debt) {
        self.cluster.owes(shard, debt);
        self.cluster.paid(debt).await;
    }

    /// A shard that has just started follows the directory before it answers for the account.
    async fn answers(&self, shard: &str) {
        while !matches!(self.deliver(shard, 1).await, Outcome::Duplicate(_)) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn import(&self, plan: &Plan) -> Result<ImportProgress, Status> {
        let (source_incarnation, change_number) = self.fenced.unwrap();
        let request = ImportRequest {
            command: Some(self.command(plan, self.epoch)),
            source_endpoint: self.shards[plan.source].rpc.to_string(),
            source_incarnation,
            change_number,
            bytes_per_second: RATE,
        };
        let mut target = self.cluster.mover(&self.shards[plan.target]);
        let mut progress = target.import(request).await?.into_inner();
        let mut last = ImportProgress::default();
        while let Some(report) = progress.message().await? {
            last = report;
        }
        Ok(last)
    }

    /// The account's mail is at `shard`, each message once, its UIDs as they were.
    async fn check(&self, shard: &str, other: &str) {
        for message in 1..=MESSAGES {
            let outcome = self.deliver(shard, message).await;
            let uid = u32::from(message);
            assert!(
                matches!(&outcome, Outcome::Duplicate(at) if at.uid == uid),
                "{outcome:?}"
            );
        }
        let old = self.shards.get(other).unwrap();
        let elsewhere = deliver(&self.cluster, old, self.id, self.epoch - 1, 1)
            .await
            .unwrap();
        assert_eq!(elsewhere, Outcome::Moved(self.epoch));
    }

    pub(crate) async fn stop(self) {
        for shard in self.shards.into_values() {
            shard.stop().await;
        }
    }
}

fn content(digest: &DigestReply) -> (Bytes, u64, u64) {
    (digest.digest.clone(), digest.messages, digest.bytes)
}

pub(crate) fn there() -> Plan {
    Plan {
        move_id: MoveId::random(),
        source: "a",
        target: "b",
    }
}

pub(crate) fn back() -> Plan {
    Plan {
        move_id: MoveId::random(),
        source: "b",
        target: "a",
    }
}

#[tokio::test]
async fn there_and_back() {
    let mut stage = Stage::new().await;
    let first = there();
    for step in STEPS {
        stage.step(&first, step).await;
        // Whoever drives may have died before it wrote that down.
        if step != Step::Switch {
            stage.step(&first, step).await;
        }
    }
    stage.check("b", "a").await;
    let second = back();
    for step in STEPS {
        stage.step(&second, step).await;
    }
    stage.check("a", "b").await;
    // Commands of the first move come too late now.
    let mut a = stage.cluster.mover(&stage.shards["a"]);
    for epoch in [1, 2] {
        let refused = a.fence(stage.command(&first, epoch)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    // And so does what it left to do.
    let late = Debt {
        epoch: 2,
        ..stage.debt(&first, true)
    };
    stage.drops("a", &late).await;
    stage.check("a", "b").await;
    stage.stop().await;
}

#[tokio::test]
async fn a_late_command_does_not_undo_a_later_copy() {
    let mut stage = Stage::new().await;
    let plan = there();
    let (copy, rest) = STEPS.split_at(3);
    for step in copy {
        stage.step(&plan, *step).await;
    }
    let (incarnation, change_number) = stage.fenced.unwrap();
    for late in [
        (incarnation - 1, change_number),
        (incarnation, change_number - 1),
    ] {
        stage.fenced = Some(late);
        let refused = stage.import(&plan).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    stage.fenced = Some((incarnation, change_number));
    for step in rest {
        stage.step(&plan, *step).await;
    }
    stage.check("b", "a").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_source_after_any_step() {
    restarts("a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_target_after_any_step() {
    restarts("b").await;
}

/// There with a restart after every step; what is fenced or built survives each.
async fn restarts(who: &'static str) {
    let mut stage = Stage::new().await;
    let plan = there();
    for step in STEPS {
        stage.step(&plan, step).await;
        stage.restart(who).await;
    }
    stage.answers("b").await;
    stage.check("b", "a").await;
    stage.stop().await;
}

#[tokio::test]
async fn aborted_after_the_copy() {
    let mut stage = Stage::new().await;
    let plan = there();
    for step in [Step::Prepare, Step::Fence, Step::Import, Step::Digests] {
        stage.step(&plan, step).await;
    }
    stage.epoch += 1;
    stage.decided("a", "b");
    stage.served().await;
    stage.drops("b", &stage.debt(&plan, true)).await;
    let outcome = stage.deliver("a", 99).await;
    assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    // What was sent for the old epoch does nothing now.
    let late = stage.command(&plan, stage.epoch - 1);
    let mut b = stage.cluster.mover(&stage.shards["b"]);
    let refused = b.prepare(late.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut a = stage.cluster.mover(&stage.shards["a"]);
    let refused = a.fence(late).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    stage.stop().await;
}

#[tokio::test]
async fn an_import_begins_again_from_nothing() {
    let mut stage = Stage::new().await;
    let plan = there();
    stage.step(&plan, Step::Prepare).await;
    stage.step(&plan, Step::Fence).await;
    let (incarnation, change_number) = stage.fenced.unwrap();
    stage.fenced = Some((incarnation + 1, change_number));
    let refused = stage.import(&plan).await.unwrap_err();
    assert!(refused.message().contains("fence again"), "{refused}");
    stage.fenced = Some((incarnation, change_number));
    stage.step(&plan, Step::Import).await;
    // The source starts anew, so what is there counts for nothing.
    stage.restart("a").await;
    stage.step(&plan, Step::Fence).await;
    stage.step(&plan, Step::Import).await;
    stage.step(&plan, Step::Digests).await;
    stage.stop().await;
}

#[tokio::test]
async fn the_target_alone_may_export() {
    let mut stage = Stage::new().await;
    let plan = there();
    stage.step(&plan, Step::Prepare).await;
    stage.step(&plan, Step::Fence).await;
    let (source_incarnation, change_number) = stage.fenced.unwrap();
    let request = ExportRequest {
        command: Some(stage.command(&plan, 1)),
        source_incarnation,
        change_number,
        bytes_per_second: RATE,
    };
    for (tier, instance) in [
        (Tier::Storage, "c"),
        (Tier::Directory, "b"),
        (Tier::Mx, "b"),
    ] {
        let channel = stage.cluster.channel(&stage.shards["a"], tier, instance);
        let mut source = kit::services::mover_client::MoverClient::new(channel);
        let refused = source.export(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{tier} {instance}");
    }
    let channel = stage
        .cluster
        .channel(&stage.shards["a"], Tier::Mx, "caller-1");
    let mut source = kit::services::mover_client::MoverClient::new(channel);
    let refused = source.fence(stage.command(&plan, 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    stage.stop().await;
}
